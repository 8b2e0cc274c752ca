// Hollow nodes: Nodes that have capacity and a lease but no machine, and "run" pods by writing what a kubelet would write. Thousands of
// them live in one process on one watch of pods, so that a control plane can be measured and a cluster planned past one machine.
#pragma once
#include <memory>
#include <string>

#include "client/client.h"

namespace estiba::cli {

struct HollowOptions {
  size_t nodes = 10;
  std::string prefix = "hollow-";  ///< of the names: hollow-1, hollow-2, …
  std::string cpu = "32", memory = "64Gi";
  size_t pods = 110;                          ///< that a node has room for
  size_t zones = 3;                           ///< topology.kubernetes.io/zone: zone-1, …; 0: none
  Duration lease = std::chrono::seconds(40);  ///< renewed four times as often, spread evenly
  Duration start{};                           ///< from a pod's binding to its Running
  Duration job{};                             ///< from then to the end of pods whose restartPolicy is not Always
  Duration stop{};                            ///< from a pod's deletion to its end, within its grace period
  size_t at_once = 64;                        ///< requests under way
};

/// Of a pod whose restartPolicy is not Always: how many seconds it runs ("0.5"), and its exit code when it is not 0.
inline constexpr std::string_view hollow_seconds = "simulate.estiba.io/seconds", hollow_exit_code = "simulate.estiba.io/exit-code";

class HollowNodes {
 public:
  /// Both must outlive this; on the executor's thread, as everything of it.
  HollowNodes(client::Client& client, Executor& executor, HollowOptions options);
  ~HollowNodes();
  HollowNodes(const HollowNodes&) = delete;
  HollowNodes& operator=(const HollowNodes&) = delete;

  /// Returns when every Node is registered and Ready; pods run from then on. Nodes that are there already, from an earlier run, are
  /// taken over. An error names the node.
  Task<Result<void>> start();
  /// Deletes the Nodes and their leases; what is gone already is no error. Pods are the cluster's to clean up.
  Task<Result<void>> remove();

  struct Counts {
    size_t nodes = 0, pods = 0, running = 0;  ///< pods on these nodes, as the API tells them
  };
  Counts counts() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace estiba::cli
