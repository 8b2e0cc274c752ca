// In-place resize (KEP 1287, KEP 5419): how a change of a pod's resources is taken up while it runs.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "engine/spec.h"
#include "model/types/core_v1.h"

namespace estiba::node {

/// What a container is given: its requests and limits. Claims are not resized.
model::core_v1::ResourceRequirements given_resources(const model::Opt<model::core_v1::ResourceRequirements>& resources);
inline model::core_v1::ResourceRequirements given_resources(const model::core_v1::Container& container) {
  return given_resources(container.resources);
}
bool same_resources(const model::core_v1::ResourceRequirements& a, const model::core_v1::ResourceRequirements& b);

/// Whether its resizePolicy wants the container restarted for a change from `before` to what its spec says.
bool resize_restarts(const model::core_v1::Container& container, const model::core_v1::ResourceRequirements& before);

/// The limits that hold while containers change from `a` to `b`: of each the larger, so that neither is refused by its parent group.
engine::Resources larger(const engine::Resources& a, const engine::Resources& b);
/// The same with what is not limited written down as such, since what is not set stays as it was.
engine::Resources with_unlimited(engine::Resources resources);

/// A memory limit that sinks (or is new), and what is used below it; `container` is empty for the whole pod.
struct MemoryChange {
  std::string container;
  int64_t limit = 0, before = 0;  ///< bytes; before 0: there was none
  uint64_t used = 0;
};
/// Why such limits cannot be set: what is used does not fit; "" when it does. The words are the kubelet's.
std::string memory_in_the_way(const std::vector<MemoryChange>& changes);

/// `Pod resize started: {"containers":[…],"generation":2}`, as the kubelet's events tell of a resize.
std::string resize_message(std::string_view what, const model::core_v1::Pod& pod, int64_t generation, std::string_view error = {});

}  // namespace estiba::node
