#include "node/placement/cpu_choice.h"

#include <algorithm>

#include "node/placement/hints.h"

namespace estiba::node {

namespace {

class Choice {
 public:
  Choice(const Topology& topology, const CpuSet& free, size_t count) : topology_(topology), free_(free), missing_(count) {}

  CpuSet packed() {
    // What holds more comes first: a socket of several NUMA nodes, or a NUMA node of several sockets.
    const bool sockets_first = topology_.by(&Topology::Cpu::socket).size() <= topology_.by(&Topology::Cpu::numa).size();
    using Level = int Topology::Cpu::*;
    const Level outer = sockets_first ? &Topology::Cpu::socket : &Topology::Cpu::numa;
    const Level inner = sockets_first ? &Topology::Cpu::numa : &Topology::Cpu::socket;
    for (const Level level : {outer, inner, Level(&Topology::Cpu::core)}) take_whole(level);
    take_threads();
    return taken_;
  }

  CpuSet one_of_each_core() {
    while (missing_) {
      const size_t before = missing_;
      for (const auto& [core, threads] : topology_.by(&Topology::Cpu::core))
        if (const CpuSet left = threads & free_; missing_ && !left.empty()) take({*left.begin()});
      if (missing_ == before) break;
    }
    return taken_;
  }

 private:
  void take(const CpuSet& some) {
    taken_ |= some;
    free_ -= some;
    missing_ -= some.size();
  }

  // Where less is free comes first, so that what is whole stays so.
  size_t left_in(int Topology::Cpu::* level, int cpu) const {
    const int group = topology_.cpus.at(cpu).*level;
    return size_t(std::ranges::count_if(free_, [&](int other) { return topology_.cpus.at(other).*level == group; }));
  }

  void take_whole(int Topology::Cpu::* level) {
    std::vector<CpuSet> whole;
    for (const auto& [number, cpus] : topology_.by(level))
      if (cpus.size() <= missing_ && free_.contains_all(cpus)) whole.push_back(cpus);
    if (level == &Topology::Cpu::core)
      std::ranges::stable_sort(whole, {}, [&](const CpuSet& cpus) {
        const int first = *cpus.begin();
        return std::tuple(left_in(&Topology::Cpu::socket, first), left_in(&Topology::Cpu::numa, first), first);
      });
    for (const CpuSet& cpus : whole)
      if (cpus.size() <= missing_) take(cpus);
  }

  void take_threads() {
    while (missing_) {
      const auto key = [&](int cpu) {
        // Beside what has been taken already, if there is any.
        const bool near =
            std::ranges::any_of(taken_, [&](int other) { return topology_.cpus.at(other).socket == topology_.cpus.at(cpu).socket; });
        return std::tuple(!near, left_in(&Topology::Cpu::socket, cpu), left_in(&Topology::Cpu::numa, cpu),
                          left_in(&Topology::Cpu::core, cpu), cpu);
      };
      const auto next = std::ranges::min_element(free_, {}, key);
      if (next == free_.end()) return;
      take({*next});
    }
  }

  const Topology& topology_;
  CpuSet free_, taken_;
  size_t missing_;
};

// The same number on each of the fewest nodes that have it; nullopt where that cannot be.
std::optional<CpuSet> even(const Topology& topology, const CpuSet& free, size_t count, size_t unit) {
  for (const NumaNodes& nodes : combinations(topology.numa_nodes())) {
    if ((free & topology.of_numa(nodes)).size() < count) continue;
    if (nodes.size() == 1) return std::nullopt;  // on one node nothing is to be spread
    const size_t each = count / nodes.size();
    if (count % nodes.size() || each % unit) continue;
    CpuSet out;
    for (const int node : nodes) {
      const CpuSet there = free & topology.of_numa({node});
      if (there.size() >= each) out |= Choice(topology, there, each).packed();
    }
    if (out.size() == count) return out;
  }
  return std::nullopt;
}

}  // namespace

std::optional<CpuSet> choose_cpus(const Topology& topology, const CpuSet& free, size_t count, CpuSpread spread, bool in_cores) {
  if (free.size() < count) return std::nullopt;
  if (spread == CpuSpread::across_cores) return Choice(topology, free, count).one_of_each_core();
  if (spread == CpuSpread::across_numa)
    if (auto out = even(topology, free, count, in_cores ? topology.threads_per_core() : 1)) return out;
  return Choice(topology, free, count).packed();
}

}  // namespace estiba::node
