// Which pods may be asked to leave a node that is to go, as cluster-autoscaler's drainability rules have it.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "autoscale/node_groups.h"
#include "client/informer.h"

namespace estiba::autoscale {

/// What is told of a pod.
struct Drainability {
  enum class Verdict : uint8_t {
    stays_out,  ///< nobody has to move it: a DaemonSet's, a static pod, one that has ended or is ending
    moves,
    blocks,  ///< the node stays because of it
  };
  Verdict verdict = Verdict::moves;
  std::string reason{};  ///< of `blocks`: "NotReplicated", "NotEnoughPdb", …, cluster-autoscaler's names
};

/// The informers, all of which outlive this; in their thread.
struct Owners {
  client::Informer *replica_sets, *replication_controllers, *stateful_sets, *jobs, *daemon_sets;
};

/// How many more disruptions each PodDisruptionBudget stands, while pods are taken from it.
class Budgets {
 public:
  explicit Budgets(client::Informer& budgets) : budgets_(budgets), by_namespace_(budgets.namespace_index()) {}

  /// Whether there are budgets for the pod.
  bool covers(const model::ObjectRef& pod) const;
  /// Whether all of the pods can be disrupted; they are taken from their budgets if so.
  bool take(const std::vector<model::ObjectRef>& pods);

 private:
  client::Informer& budgets_;
  const client::Informer::Index by_namespace_;
  std::map<std::string, int64_t> left_;
};

Drainability drainability_of(const model::ObjectRef& pod, const ScaleDown& settings, const Owners& owners, const Budgets& budgets);

}  // namespace estiba::autoscale
