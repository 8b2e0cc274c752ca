// Whether this node takes a pod that the API has given it: the scheduler's checks once more, because a pod may name its node itself, and
// two schedulers may not know of each other.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "model/object.h"

namespace estiba::node {

/// Why a pod is refused: it fails with this reason (a Predicate's name or OutOf…) and message, as the kubelet words them.
struct Refusal {
  std::string reason, message;
};

/// `node` is the Node object (null: nothing is known of it, and nothing refused), `others` the pods that are here and have not ended.
/// Looks at requests against what is allocatable, the number of pods, node selectors and affinity, and host ports, in that order.
std::optional<Refusal> refusal_of(const model::ObjectRef& pod, const model::ObjectRef& node, const std::vector<model::ObjectRef>& others);

}  // namespace estiba::node
