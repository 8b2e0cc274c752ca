// A StatefulSet's status, counted from its pods.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "model/object.h"

namespace estiba::controllers {

struct StatefulStatus {
  std::string current_revision, update_revision;
  int64_t collisions = 0;
  int64_t replicas = 0, ready = 0, available = 0, current = 0, updated = 0;

  /// `ready`: running and ready.
  void count(const model::ObjectRef& pod, bool terminating, bool ready, bool available);
  /// When all pods of a rolling set are updated and ready, the update revision is the current one.
  void complete_rollout(const model::ObjectRef& set);
  /// A merge patch for the status, or nullopt when it is right already.
  std::optional<std::string> patch(const model::ObjectRef& set) const;
};

}  // namespace estiba::controllers
