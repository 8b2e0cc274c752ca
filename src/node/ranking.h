// Which pod goes first when a node is in need, and what is said about it (kubelet's pkg/kubelet/eviction/helpers.go). Pure functions.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/object.h"
#include "node/thresholds.h"

namespace estiba::node {

struct ContainerUse {
  std::string name;
  int64_t memory = 0;  ///< working set
  int64_t disk = 0;    ///< writable layer and logs
  int64_t memory_request = 0, disk_request = 0;
};

struct PodUse {
  model::ObjectRef pod;
  bool known = false;  ///< whether it could be read; those that could not go first
  int64_t memory = 0, processes = 0;
  int64_t disk = 0, inodes = 0;  ///< of what counts for the signal
  int64_t memory_request = 0, disk_request = 0;
  std::vector<ContainerUse> containers;
};

/// A pod that is never evicted, and is admitted under pressure: static, or of a system priority (2000000000 and more).
bool is_critical(const model::ObjectRef& pod);
int32_t priority_of(const model::ObjectRef& pod);

/// The one that goes first first: who exceeds his requests, then by priority (the lowest first), then by use above the requests. Processes
/// have no requests.
void rank(std::vector<PodUse>& pods, Signal signal);

/// "The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. Container a was using …"
std::string eviction_message(const PodUse& pod, Signal signal, const std::vector<Threshold>& acting, const Observations& seen);

}  // namespace estiba::node
