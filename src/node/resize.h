// In-place resize (KEP 1287): how a change of a container's resources is taken up while it runs.
#pragma once
#include <string>

#include "engine/spec.h"
#include "model/types/core_v1.h"

namespace estiba::node {

/// What a container is given: its requests and limits. Claims are not resized.
model::core_v1::ResourceRequirements given_resources(const model::core_v1::Container& container);
bool same_resources(const model::core_v1::ResourceRequirements& a, const model::core_v1::ResourceRequirements& b);

/// Whether its resizePolicy wants the container restarted for a change from `before` to what its spec says.
bool resize_restarts(const model::core_v1::Container& container, const model::core_v1::ResourceRequirements& before);

/// Why this node can never give the pod what it asks for now; "" when it can. The sentence is the condition's message.
std::string infeasible(const model::core_v1::Pod& pod, int64_t node_milli_cpus, int64_t node_memory_bytes);

/// The limits that hold while containers change from `a` to `b`: of each the larger, so that neither is refused by its parent group.
engine::Resources larger(const engine::Resources& a, const engine::Resources& b);
/// The same with what is not limited written down as such, since what is not set stays as it was.
engine::Resources with_unlimited(engine::Resources resources);

}  // namespace estiba::node
