// One decision: where a pod goes, or why it can go nowhere.
#pragma once
#include <string>

#include "scheduler/plugin.h"

namespace estiba::scheduler {

struct Decision {
  const NodeState* node = nullptr;  ///< null when no node fits
  std::string message;              ///< then: "0/3 nodes are available: 1 Insufficient cpu, 2 Too many pods."
};

/// `turn` rotates among equally good nodes.
Decision decide(const Profile& profile, const Cluster& cluster, const Demand& pod, uint64_t turn);

}  // namespace estiba::scheduler
