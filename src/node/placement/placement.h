// Where on the machine containers run: gives them CPUs (cpus.h) and memory (memory.h) of their own so that these lie with their devices
// (hints.h), before anything of their pod starts.
//
//   <file>   {"state": {"cpus": …, "memory": …}, "checksum": "FNV-1a of the state, 64 bits"}: what pods have, so that a restart gives their
//            containers the same. It is there from the first start with a policy of its own on.
//
// On the node's thread.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "base/function.h"
#include "engine/spec.h"
#include "node/placement/cpus.h"
#include "node/placement/memory.h"

namespace estiba::node {

struct PlacementOptions {
  CpuOptions cpus;
  MemoryOptions memory;
  TopologyPolicy topology = TopologyPolicy::none;
  bool by_pod = false;        ///< one decision for all containers of a pod (--topology-manager-scope=pod)
  std::string sys = "/sys";   ///< where the machine is read from
  size_t max_numa_nodes = 8;  ///< of a machine whose combinations of nodes are looked at (max-allowable-numa-nodes)
  bool any() const { return cpus.exclusive || memory.pinned || topology != TopologyPolicy::none; }
};

/// What devices say of where a container, or (with true) its whole pod, should be.
using DeviceHints = std::function<Hints(const NumaNodes& all, bool of_pod)>;

class Placement {
 public:
  /// Reads the machine and the file. Errors name the flag, or the file with what in it is another than before and the way out.
  static Result<std::unique_ptr<Placement>> open(PlacementOptions options, std::string file);

  /// Whether a pod is to have CPUs or memory of its own and has not been given them yet.
  bool wanted_by(const model::core_v1::Pod& pod) const;
  /// Whether where devices are matters.
  bool aligns() const { return options_.topology != TopologyPolicy::none; }

  /// Gives a container its CPUs and memory; on which NUMA nodes its devices should be, if that matters. Containers come in the pod's order.
  /// Errors carry the reason by which the pod fails (TopologyAffinityError, SMTAlignmentError, UnexpectedAdmissionError).
  Result<std::optional<NumaNodes>> place(const model::core_v1::Pod& pod, const model::core_v1::Container& container,
                                         const DeviceHints& devices);
  /// All containers of the pod are placed: writes it down. An error leaves the pod nothing.
  Result<void> keep(const std::string& pod);
  void release(const std::string& pod);
  /// Takes back what other pods have.
  void keep_only(const std::set<std::string>& pods);

  /// The CPUs and memory nodes that a container runs on; a quota would take from it what is its own.
  void limit(engine::Resources& resources, const std::string& pod, const std::string& container) const;
  /// The same for a pod's group, which has no CPUs of its own.
  void limit_pod(engine::Resources& resources, const std::string& pod) const;

  /// Calls when other containers than before have CPUs to themselves.
  void on_change(UniqueFunction<void()> handler) { on_change_ = std::move(handler); }

  const Cpus& cpus() const { return cpus_; }
  const Memory& memory() const { return memory_; }
  /// Whether any pod has anything of its own.
  bool in_use() const { return !cpus_.pods().empty() || !memory_.pods().empty(); }
  const Topology& topology() const { return topology_; }

 private:
  Placement(PlacementOptions options, std::string file, Topology topology, Cpus cpus, Memory memory);
  Result<void> load(const std::string& text);
  Result<void> save() const;
  void changed();
  struct Underway {
    CpuSet reusable;                  ///< of init containers
    std::optional<Agreement> agreed;  ///< for the pod as a whole
  };
  Agreement agreement(const model::core_v1::Pod& pod, const model::core_v1::Container& container, const DeviceHints& devices,
                      Underway& underway) const;
  MemoryAmounts wanted(const model::core_v1::Pod& pod, const model::core_v1::Container& container) const;
  MemoryAmounts wanted_by_all(const model::core_v1::Pod& pod) const;
  Result<void> give(const model::core_v1::Pod& pod, const model::core_v1::Container& container, const std::optional<NumaNodes>& nodes,
                    Underway& underway);

  const PlacementOptions options_;
  const std::string file_;
  const Topology topology_;
  Cpus cpus_;
  Memory memory_;
  std::map<std::string, Underway> underway_;  // by the pod's uid
  UniqueFunction<void()> on_change_;
};

}  // namespace estiba::node
