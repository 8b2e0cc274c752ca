// A Deployment's status: counting its sets and judging whether the rollout completes, progresses or hangs.
// `kubectl rollout status` relies on the reasons written here.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/executor.h"
#include "controllers/rollout_math.h"
#include "model/object.h"

namespace estiba::controllers {

struct DeploymentCondition {
  std::string type, status, reason, message;
  std::string updated, transitioned;  ///< RFC 3339
  bool operator==(const DeploymentCondition&) const = default;
};

struct DeploymentStatus {
  int64_t observed_generation = 0;
  int64_t replicas = 0, updated = 0, ready = 0, available = 0, unavailable = 0;
  std::optional<int64_t> collisions;
  std::vector<DeploymentCondition> conditions;
  bool operator==(const DeploymentStatus&) const = default;

  static DeploymentStatus of(const model::ObjectRef& deployment);
  const DeploymentCondition* find(std::string_view type) const;
  /// Nothing changes when the condition has this status and reason already; the time of transition stays while the status does.
  void set(std::string_view type, std::string_view status, std::string_view reason, std::string message, WallTime now);
  void remove(std::string_view type);
  /// A merge patch that makes the object's status this.
  std::string patch() const;
};

/// Takes the counts and the condition Available from the sets; `fresh` may be null.
void count_into(DeploymentStatus& status, const model::ObjectRef& deployment, const std::vector<SetState>& old, const SetState* fresh, WallTime now);

/// Sets the condition Progressing by comparing the counts with those in the object, and ReplicaFailure from the sets.
void judge_progress(DeploymentStatus& status, const model::ObjectRef& deployment, const std::vector<SetState>& old, const SetState* fresh, WallTime now);

/// All pods are of the new template, available, and no old ones are left.
bool is_complete(const model::ObjectRef& deployment, const DeploymentStatus& status);

/// progressDeadlineSeconds, when there is one.
std::optional<Duration> progress_deadline(const model::ObjectRef& deployment);
/// When to look again whether the deadline has passed; nullopt when it does not matter.
std::optional<Duration> check_progress_after(const model::ObjectRef& deployment, const DeploymentStatus& status, WallTime now);

}  // namespace estiba::controllers
