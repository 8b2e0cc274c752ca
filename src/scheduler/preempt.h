// Preemption: which pods of lower priority have to go so that a pod finds a place (Kubernetes' DefaultPreemption).
#pragma once
#include <string>
#include <vector>

#include "client/informer.h"
#include "scheduler/plugin.h"

namespace estiba::scheduler {

struct Preemption {
  const NodeState* node = nullptr;  ///< null: nothing would help
  std::vector<DemandPtr> victims;   ///< the most important first
  std::string message;              ///< without a node: why, as Kubernetes adds it to the reasons
};

/// The node where the least is lost: fewest violations of disruption budgets, then the lowest of the victims' highest priorities, the
/// lowest sum of priorities, the fewest victims, the youngest of the most important ones. As few pods as possible go, those of budgets
/// last.
Preemption find_victims(const Profile& profile, const Cluster& cluster, const Demand& pod, client::Informer& budgets);

/// Whether preemption may be tried: the policy allows it, and the node that the pod is promised has no victim that is still going.
bool may_preempt(const Cluster& cluster, const Demand& pod);

}  // namespace estiba::scheduler
