// The Node object: registered with the machine's real capacity, kept up to date, and alive by its Lease.
#pragma once
#include <string>

#include "base/task.h"
#include "model/types/core_v1.h"
#include "node/context.h"

namespace estiba::node {

/// What this machine is: capacity, allocatable, system information (uname(2), /etc/os-release, /proc/sys/kernel/random/boot_id,
/// /etc/machine-id), addresses and conditions.
/// `pressure`: what it is short of.
model::core_v1::NodeStatus machine_status(const Options& options, WallTime now, const std::vector<std::string_view>& pressure = {},
                                          const std::string& unready = {});

/// Makes the Node unless there is one of this name; the Node as it is now. Both arguments outlive the task.
Task<Result<model::ObjectRef>> register_node(client::Client& client, const Options& options);

class Registration {
 public:
  /// `context` is the node's own: its addresses follow the machine's.
  explicit Registration(Context& context);

  /// Makes the Node or takes over the one that is there, says that it is ready, and renews the Lease every 10 s from then on
  /// (the status every 5 minutes, as the kubelet does; at once when the address has changed, when the server answers again after it
  /// did not, and when somebody else has marked the node not ready).
  Task<Result<void>> start();
  /// What the node is short of from now on ("DiskPressure"): told at once.
  void set_pressure(std::vector<std::string_view> conditions);
  /// What the node has is not what it had: told at once.
  void changed() { wrong_.set(); }
  /// Calls when the machine's address has changed.
  void on_address(UniqueFunction<void()> handler) { on_address_ = std::move(handler); }

 private:
  static Task<void> keep_alive(Registration* self);
  void watch_own();
  bool take_address();
  Task<bool> look_at_network();
  Task<Result<void>> put_status();
  Task<Result<void>> renew_lease();

  Context& context_;
  std::string node_uid_;
  UniqueFunction<void()> on_address_;
  std::vector<std::string_view> pressure_;
  Event wrong_;          // the Node says something that is not so
  std::string unready_;  // why pods cannot have a network yet; empty: they can
  Job job_;
};

}  // namespace estiba::node
