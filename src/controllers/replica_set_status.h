// A ReplicaSet's status from its pods.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/executor.h"
#include "base/result.h"
#include "model/object.h"

namespace estiba::controllers {

struct ReplicaSetCount {
  int64_t replicas = 0, fully_labeled = 0, ready = 0, available = 0;
  std::optional<WallTime> next_available;  ///< when the next ready pod will have been ready for minReadySeconds
};

/// `pods` are the set's active ones.
ReplicaSetCount count_replicas(const model::ObjectRef& set, const std::vector<model::ObjectRef>& pods, WallTime now);

/// A merge patch for the status, or nullopt when it is right already. A failed `managed` becomes condition ReplicaFailure.
std::optional<std::string> replica_set_status_patch(const model::ObjectRef& set, const ReplicaSetCount& count, const Result<void>& managed, size_t active, WallTime now);

}  // namespace estiba::controllers
