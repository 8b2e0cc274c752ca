// Whether this node takes a pod that the API has given it: the scheduler's checks once more, because a pod may name its node itself, and
// two schedulers may not know of each other.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "model/object.h"
#include "model/quota.h"

namespace estiba::node {

/// Why a pod is refused: it fails with this reason (a Predicate's name or OutOf…) and message, as the kubelet words them.
struct Refusal {
  std::string reason, message;
};

/// A pod that is here and has not ended, and what it has been granted.
struct Present {
  model::ObjectRef pod;
  model::ResourceList requests;
};

/// What a pod's spec asks for as a whole.
model::ResourceList requests_of(const model::ObjectRef& pod);

/// In the units of the scheduler's own figures: thousandths of a processor, bytes, pieces.
int64_t amount_of(const std::string& resource, const model::Quantity& quantity);

/// What a pod asks for and the node has not left.
struct Shortage {
  std::string resource;  ///< "cpu", "pods", …
  int64_t asked = 0, used = 0, capacity = 0;
  int64_t missing() const { return asked + used - capacity; }
};
/// Of everything that the pod asks for, the number of pods first. `node` may be null: nothing is known to be short.
std::vector<Shortage> shortages_of(const model::ObjectRef& pod, const model::ObjectRef& node, const std::vector<Present>& others);

/// Why the pod is refused whatever room there is: its operating system, features, AppArmor, selectors, host ports.
std::optional<Refusal> refusal_beside_room(const model::ObjectRef& pod, const model::ObjectRef& node, const std::vector<Present>& others);

/// `node` is the Node object (null: nothing is known of it, and nothing refused), `others` the pods that are here.
/// Looks at the operating system, the features that it needs, requests against what is allocatable, the number of pods, node selectors and
/// affinity, and host ports, in that order.
std::optional<Refusal> refusal_of(const model::ObjectRef& pod, const model::ObjectRef& node, const std::vector<Present>& others);

}  // namespace estiba::node
