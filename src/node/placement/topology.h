// How the machine's CPUs and memory lie together: threads in cores, cores in sockets, and NUMA nodes, as /sys/devices/system/cpu
// (Documentation/admin-guide/cputopology.rst) and /sys/devices/system/node (Documentation/ABI/stable/sysfs-devices-node) tell.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "node/placement/cpu_set.h"

namespace estiba::node {

struct Topology {
  struct Cpu {
    int core = 0;    ///< unique on the machine: the lowest CPU of it
    int socket = 0;  ///< physical_package_id
    int numa = 0;
  };
  struct NumaNode {
    uint64_t memory_bytes = 0;                ///< MemTotal of its meminfo
    std::map<uint64_t, uint64_t> huge_pages;  ///< page size in bytes → number
  };
  std::map<int, Cpu> cpus;  ///< online ones, by number
  std::map<int, NumaNode> numa;

  CpuSet all() const;
  CpuSet numa_nodes() const;
  /// The online CPUs that share a core, a socket or a NUMA node, by its number.
  std::map<int, CpuSet> by(int Cpu::* level) const;
  CpuSet of_numa(const CpuSet& nodes) const;
  /// 1 without hyper-threading.
  size_t threads_per_core() const;
};

/// `sys` is /sys, or a tree like it. A kernel without NUMA has one node, 0. Errors name the file.
Result<Topology> read_topology(const std::string& sys = "/sys");

}  // namespace estiba::node
