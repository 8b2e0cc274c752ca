// Hints of where a container's resources lie together, and the choice of one that all of them agree to: the kubelet's topology manager
// (https://kubernetes.io/docs/tasks/administer-cluster/topology-manager/, pkg/kubelet/cm/topologymanager/policy.go). Pure functions.
#pragma once
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "node/placement/cpu_set.h"

namespace estiba::node {

using NumaNodes = CpuSet;

struct Hint {
  std::optional<NumaNodes> nodes;  ///< none: any
  bool preferred = false;          ///< no fewer nodes could hold as much
  bool operator==(const Hint&) const = default;
};

/// By resource ("cpu", "memory", "example.com/gpu"): nothing where it does not matter, an empty list where it cannot be had.
using Hints = std::map<std::string, std::optional<std::vector<Hint>>>;

enum class TopologyPolicy : unsigned char { none, best_effort, restricted, single_numa_node };
inline constexpr std::pair<std::string_view, TopologyPolicy> topology_policies[] = {{"none", TopologyPolicy::none},
                                                                                    {"best-effort", TopologyPolicy::best_effort},
                                                                                    {"restricted", TopologyPolicy::restricted},
                                                                                    {"single-numa-node", TopologyPolicy::single_numa_node}};

struct Agreement {
  Hint hint;           ///< its nodes may be none
  bool admit = false;  ///< whether the policy takes the container with it
};
/// The best of all combinations: a preferred one on as few nodes as possible, else one that is as near as can be to the number of nodes
/// that its greediest resource needs. `all` are the machine's nodes. Not for the policy none.
Agreement agree(TopologyPolicy policy, const NumaNodes& all, const Hints& hints);

/// Every set of nodes that is not empty, the smaller ones first.
std::vector<NumaNodes> combinations(const NumaNodes& all);

/// Hints for so many of a resource: each set of nodes that has enough `there`, preferred when no smaller one could have, were all of it
/// free (`whole`). Both count what is on a set of nodes.
std::vector<Hint> hints_by_count(const NumaNodes& all, size_t wanted, const std::function<size_t(const NumaNodes&)>& there,
                                 const std::function<size_t(const NumaNodes&)>& whole);

}  // namespace estiba::node
