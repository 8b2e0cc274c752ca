// How many nodes of a group pending pods need, and which group is best.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "autoscale/simulation.h"

namespace estiba::autoscale {

/// What one more group of nodes would do.
struct Option {
  const NodeGroup* group = nullptr;
  int64_t nodes = 0;                       ///< to be made
  std::vector<scheduler::DemandPtr> pods;  ///< that would be placed on them
  double waste = 0;                        ///< the parts of cpu and of memory that nobody would ask for, added: 0 … 2
};

/// Why pods are not helped, by their UIDs.
using Refusals = std::map<std::string, std::vector<std::string>>;

/// The largest first, after their priorities: they are the hardest to place.
void sort_for_packing(std::vector<scheduler::DemandPtr>& pods);

/// Places those of the pods that nodes take which there are, and leaves the others in the list.
void place_all(Simulation& simulation, std::vector<scheduler::DemandPtr>& pods);

/// Packs the pods onto at most `most` new nodes of the group, first fit; nullopt when none of them would be helped. `refusals` gets the
/// reasons of the others. The simulation is as it was.
std::optional<Option> estimate(Simulation& simulation, const NodeGroup& group, int64_t most, std::vector<scheduler::DemandPtr> pods,
                               const std::vector<model::ObjectRef>& daemon_sets, Refusals& refusals);

/// The least waste; of equal ones the highest priority, then the most pods, then the name. `options` is not empty.
const Option& best_of(const std::vector<Option>& options);

/// "2 node(s) didn't match Pod's node affinity/selector, 1 max node group size reached": how often each was said, sorted as text.
std::string count_reasons(const std::vector<std::string>& reasons);

}  // namespace estiba::autoscale
