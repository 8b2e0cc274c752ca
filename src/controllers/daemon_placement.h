// Where a DaemonSet's pods belong, and the pods themselves as they are to be made.
#pragma once
#include <string>

#include "base/result.h"
#include "model/object.h"

namespace estiba::controllers {

struct Placement {
  bool should_run = false;  ///< the node should have a pod
  bool may_stay = false;    ///< a pod that is there may go on: only a NoSchedule taint speaks against it
  bool operator==(const Placement&) const = default;
};
/// By nodeName, nodeSelector, required node affinity and taints, with the tolerations that every daemon pod has.
Placement placement_on(const model::ObjectRef& set, const model::ObjectRef& node);

/// The pod for a node: of the set's template, with labels of its revision, the tolerations of daemon pods, and a required node
/// affinity to the node's name, so that the scheduler places it there.
Result<std::string> daemon_pod_body(const model::ObjectRef& set, const std::string& hash, const std::string& node);

/// The node that a daemon pod is on or meant for; "" when it names none.
std::string target_node(const model::ObjectRef& pod);

/// The pod is of the revision with this hash, or, made before there were hashes, of the set's template generation.
bool is_of_revision(const model::ObjectRef& set, const model::ObjectRef& pod, const std::string& hash);

}  // namespace estiba::controllers
