// Which pods of a set go first when there are too many.
#pragma once
#include <vector>

#include "model/object.h"

namespace estiba::controllers {

/// The `count` pods of `pods` that should go, in the order of Kubernetes: not assigned before assigned, pending before
/// unknown before running, not ready before ready, lower deletion cost (annotation
/// controller.kubernetes.io/pod-deletion-cost), more siblings on its node, ready for a shorter time, more restarts, newer.
std::vector<model::ObjectRef> pods_to_delete(std::vector<model::ObjectRef> pods, size_t count);

}  // namespace estiba::controllers
