// What a DaemonSet does next, decided from its nodes and pods. Pure functions.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "base/executor.h"
#include "base/result.h"
#include "controllers/daemon_placement.h"
#include "model/object.h"

namespace estiba::controllers {

struct DaemonPod {
  model::ObjectRef pod;
  bool going = false;    ///< being deleted
  bool updated = false;  ///< of the present template
  bool ready = false;
  bool available = false;  ///< ready for minReadySeconds
};
struct DaemonNode {
  bool exists = false;  ///< the node itself is known
  Placement placement;
  std::vector<DaemonPod> pods;  ///< those with a node first, then the oldest first
};
/// By the node's name.
using DaemonNodes = std::map<std::string, DaemonNode>;

struct DaemonPlan {
  std::vector<std::string> create;  ///< names of nodes
  std::vector<model::ObjectRef> remove;
  std::vector<model::ObjectRef> failed, succeeded;  ///< of `remove`, those that had ended by themselves
};

/// How many pods a rolling update may have twice, or may lack, of `wanted` nodes. Both round up.
struct DaemonBounds {
  int64_t surge = 0, unavailable = 0;
};
Result<DaemonBounds> daemon_bounds(const model::ObjectRef& set, int64_t wanted);

/// One pod on each node that should have one, none where it may not stay. Failed pods are in `failed` and not yet in `remove`:
/// the caller says when each may go.
DaemonPlan plan_presence(const DaemonNodes& nodes, bool surges);
/// The next pods to replace.
DaemonPlan plan_update(const DaemonNodes& nodes, DaemonBounds bounds);

struct DaemonCounts {
  int64_t desired = 0, current = 0, misscheduled = 0, ready = 0, updated = 0, available = 0;
};
DaemonCounts count_daemons(const DaemonNodes& nodes);
/// A merge patch for the status, or nullopt when it is right already.
std::optional<std::string> daemon_status_patch(const model::ObjectRef& set, const DaemonCounts& counts, int64_t collisions);

}  // namespace estiba::controllers
