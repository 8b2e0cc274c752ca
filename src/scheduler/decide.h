// One decision: where a pod goes, or why it can go nowhere.
#pragma once
#include <string>

#include "scheduler/plugin.h"

namespace estiba::scheduler {

struct Decision {
  const NodeState* node = nullptr;  ///< null when no node fits
  std::string message;              ///< then: "0/3 nodes are available: 1 Insufficient cpu, 2 Too many pods."
};

/// Whether the pod can go there, also when the pods that were promised room there have come. `why` as in FilterPlugin.
bool fits(const Profile& profile, const Demand& pod, const NodeState& node, std::vector<std::string>* why);

/// `turn` rotates among equally good nodes.
Decision decide(const Profile& profile, const Cluster& cluster, const Demand& pod, uint64_t turn);

}  // namespace estiba::scheduler
