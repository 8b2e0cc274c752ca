// Which containers have memory of which NUMA nodes to themselves: the kubelet's memory manager policies None and Static
// (https://kubernetes.io/docs/tasks/administer-cluster/memory-manager/, pkg/kubelet/cm/memorymanager/policy_static.go). With Static,
// containers of Guaranteed pods get their memory and huge pages on as few nodes as can hold them, and run with cpuset.mems of these.
//
// Invariant: nodes whose memory is given together are given together alone: what is on one of them is on all of them.
//
// Pure bookkeeping; Placement keeps it in a file.
#pragma once
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "model/json.h"
#include "model/types/core_v1.h"
#include "node/placement/hints.h"
#include "node/placement/topology.h"

namespace estiba::client {
class JsonWriter;
}

namespace estiba::node {

using MemoryAmounts = std::map<std::string, uint64_t>;  ///< "memory", "hugepages-2Mi" → bytes

struct MemoryOptions {
  bool pinned = false;                    ///< policy Static
  std::map<int, MemoryAmounts> reserved;  ///< by NUMA node: what no container has
  uint64_t reserved_bytes = 0;            ///< what `reserved` must come to in memory: --system-reserved and --kube-reserved
};

class Memory {
 public:
  /// Errors (invalid) name --reserved-memory and what does not fit.
  static Result<Memory> make(const Topology& topology, MemoryOptions options);

  bool pinned() const { return options_.pinned; }
  /// What containers may have, by NUMA node.
  const std::map<int, MemoryAmounts>& allocatable() const { return whole_; }

  struct Block {
    std::map<int, uint64_t> bytes;  ///< by NUMA node; 0 on one that others of its group hold
    NumaNodes nodes() const;
    uint64_t sum() const;
  };
  using Blocks = std::map<std::string, Block>;  ///< by kind of memory
  /// Null when the container has none.
  const Blocks* given(const std::string& pod, const std::string& container) const;
  /// All nodes of them.
  NumaNodes nodes_of(const std::string& pod, const std::string& container) const;
  bool has(const std::string& pod) const { return given_.contains(pod); }
  std::vector<std::string> pods() const;

  /// What a container is to have; empty: it takes what there is.
  MemoryAmounts wanted(const model::core_v1::Pod& pod, const model::core_v1::Container& container) const;
  /// Where it could be, by kind; `pod` may take over what its init containers have.
  Hints hints(const std::string& pod, const MemoryAmounts& wanted) const;
  /// Gives it, on `nodes` and as few others as it needs. Code::exhausted when it is not there.
  Result<void> give(const std::string& pod, const std::string& container, const MemoryAmounts& wanted,
                    const std::optional<NumaNodes>& nodes, bool init);
  /// Whether anything was the pod's.
  bool release(const std::string& pod);

  /// {"policy": "Static", "whole": {NODE: {KIND: BYTES}}, "given": {POD: {CONTAINER: {KIND: {NODE: BYTES}}}}}
  void save(client::JsonWriter& json) const;
  /// Errors say what differs from the machine and the flags.
  Result<void> load(const json::Node& saved);

 private:
  Memory(const Topology& topology, MemoryOptions options) : nodes_(topology.numa_nodes()), options_(std::move(options)) {}
  uint64_t free_on(const NumaNodes& nodes, const std::string& kind, const std::string& reusing_pod) const;
  bool in_a_group(const NumaNodes& nodes) const;
  std::vector<Hint> places(const std::string& pod, const MemoryAmounts& wanted) const;
  void take_over(const std::string& pod, const std::string& kind, const NumaNodes& nodes, uint64_t bytes);

  NumaNodes nodes_;
  MemoryOptions options_;
  std::map<int, MemoryAmounts> whole_;
  std::map<std::string, std::map<std::string, Blocks>> given_;    // pod's uid → container
  std::map<std::string, std::set<std::string>> init_containers_;  // of pods: those that end before the next container starts
};

/// "0:memory=1Gi,hugepages-2Mi=64Mi" of the kubelet's --reserved-memory, added to `reserved`. Errors quote it.
Result<void> read_reserved_memory(std::string_view text, std::map<int, MemoryAmounts>& reserved);

}  // namespace estiba::node
