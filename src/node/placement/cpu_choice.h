// Which CPUs a container gets for itself: whole sockets, NUMA nodes and cores where they fit, and otherwise from where the least is left
// free (the kubelet's static CPU manager policy, pkg/kubelet/cm/cpumanager/cpu_assignment.go). Pure functions.
#pragma once
#include <optional>

#include "node/placement/topology.h"

namespace estiba::node {

enum class CpuSpread : unsigned char {
  packed,        ///< on as few cores, NUMA nodes and sockets as possible
  across_cores,  ///< one thread of each core first (distribute-cpus-across-cores)
  across_numa    ///< evenly on as few NUMA nodes as can hold them, if they can be even (distribute-cpus-across-numa)
};

/// `count` of the `free` ones; nullopt when there are fewer. `in_cores`: whole cores alone may be counted evenly (full-pcpus-only).
std::optional<CpuSet> choose_cpus(const Topology& topology, const CpuSet& free, size_t count, CpuSpread spread = CpuSpread::packed,
                                  bool in_cores = false);

}  // namespace estiba::node
