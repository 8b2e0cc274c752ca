// Which nodes are not needed: a plan that is made by trying it out.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "autoscale/fleet.h"
#include "autoscale/simulation.h"

namespace estiba::autoscale {

/// A node whose pods would all find a place elsewhere, while those before it in the plan go too.
struct Unneeded {
  std::string node;
  bool empty = false;  ///< no pod has to move
  bool ready = true;
};

struct DownPlan {
  std::vector<Unneeded> unneeded;
  std::map<std::string, int64_t> staying;  ///< how many nodes stay, by cluster-autoscaler's name of the reason
};

/// The part of its cpu or of its memory, whichever is more, that pods ask for.
double utilization_of(const scheduler::NodeState& node);

/// `since` says of which nodes it was known before that they are not needed; those come first, the oldest in front. In `simulation` pods
/// that wait have their places already, and what is going is gone; it is as it was afterwards.
DownPlan plan_scale_down(Simulation& simulation, const World& world, Fleet& fleet, const ScaleDown& settings,
                         const std::map<std::string, Instant>& since, Instant now);

}  // namespace estiba::autoscale
