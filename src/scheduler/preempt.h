// Preemption: which pods of lower priority have to go so that a pod finds a place (Kubernetes' DefaultPreemption).
#pragma once
#include <string>
#include <vector>

#include "client/informer.h"
#include "scheduler/decide.h"

namespace estiba::scheduler {

struct Preemption {
  const NodeState* node = nullptr;  ///< null: nothing would help
  std::vector<DemandPtr> victims;   ///< the most important first
  std::string message;              ///< without a node: why, as Kubernetes adds it to the reasons
};

/// The node where the least is lost: fewest violations of disruption budgets, then the lowest of the victims' highest priorities, the
/// lowest sum of priorities, the fewest victims, the youngest of the most important ones. As few pods as possible go, those of budgets
/// last. `nodes` are those where pods' going may help; of many only as many are compared as the profile says, from number `turn` on.
/// `known` as in decide().
Preemption find_victims(const Cycle& cycle, const std::vector<const NodeState*>& nodes, client::Informer& budgets, uint64_t turn,
                        Verdicts* known = nullptr);

/// Whether preemption may be tried: the policy allows it, and the node that the pod is promised has no victim that is still going.
bool may_preempt(const Cluster& cluster, const Demand& pod);

}  // namespace estiba::scheduler
