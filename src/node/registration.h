// The Node object: registered with the machine's real capacity, kept up to date, and alive by its Lease.
#pragma once
#include <string>

#include "base/task.h"
#include "model/types/core_v1.h"
#include "node/context.h"

namespace estiba::node {

/// What this machine is: capacity, allocatable, system information (uname(2), /etc/os-release, /proc/sys/kernel/random/boot_id,
/// /etc/machine-id), addresses and conditions.
model::core_v1::NodeStatus machine_status(const Options& options, WallTime now);

class Registration {
 public:
  explicit Registration(const Context& context);

  /// Makes the Node or takes over the one that is there, says that it is ready, and renews the Lease every 10 s from then on
  /// (the status every 5 minutes, as the kubelet does).
  Task<Result<void>> start();

 private:
  static Task<void> keep_alive(Registration* self);
  Task<Result<void>> put_node();
  Task<Result<void>> put_status();
  Task<Result<void>> renew_lease();

  const Context& context_;
  std::string node_uid_;
  Job job_;
};

}  // namespace estiba::node
