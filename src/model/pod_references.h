// Which other objects a pod would make its node read (Kubernetes' pkg/api/pod, HasAPIObjectReference).
#pragma once
#include <string>

#include "model/json.h"

namespace estiba::model {

/// The first kind of object that the PodSpec refers to, as Kubernetes words it ("configmaps (via projected volumes)"); empty when the pod
/// stands for itself: only such a pod may be static, or mirrored by a node.
std::string api_reference(const json::Node& spec);

}  // namespace estiba::model
