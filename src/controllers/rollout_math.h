// The arithmetic of Deployments, as Kubernetes does it (pkg/controller/deployment/util): how far a rollout may go above
// and below the wanted number, and how pods are shared out between the ReplicaSets. Pure functions.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/object.h"
#include "model/types/apps_v1.h"

namespace estiba::controllers {

/// How many pods a rollout may have above, and may lack below, spec.replicas.
struct RolloutBounds {
  int64_t surge = 0, unavailable = 0;
};
/// maxSurge rounds up and maxUnavailable down; when both come out as 0, maxUnavailable is 1. Both are 0 for Recreate.
RolloutBounds rollout_bounds(const model::apps_v1::DeploymentSpec& spec);

/// A ReplicaSet of a Deployment.
struct SetState {
  model::ObjectRef object;
  int64_t replicas = 0;  ///< wanted
  int64_t actual = 0, ready = 0, available = 0;
  int64_t revision = 0;              ///< 0 when it has none
  int64_t desired = -1, most = -1;   ///< the Deployment's replicas and its upper bound when the set was last scaled; -1: not known

  static SetState of(const model::ObjectRef& set);
  const std::string& name() const { return object.meta().name; }
};

struct Totals {
  int64_t replicas = 0, actual = 0, ready = 0, available = 0;
};
Totals totals(const std::vector<SetState>& sets);

/// What the new set should have now, when all sets together hold `total` wanted pods. Never lowers `current`.
int64_t new_set_size(const model::apps_v1::DeploymentSpec& spec, int64_t total, int64_t current);

/// New sizes for the old sets of a rolling update: first unhealthy pods, then healthy ones as far as the bounds allow. The
/// result has one entry an old set, in the order given. `fresh` is the new set.
std::vector<int64_t> old_set_sizes(const model::apps_v1::DeploymentSpec& spec, const std::vector<SetState>& old, const SetState& fresh);

/// New sizes for several active sets when the Deployment itself is scaled in the middle of a rollout: in proportion to
/// their sizes, the rest to the largest. `status_replicas` is the Deployment's status.replicas.
std::vector<int64_t> proportional_sizes(const model::apps_v1::DeploymentSpec& spec, const std::vector<SetState>& active, int64_t status_replicas);

/// Oldest first; equal times by name.
void sort_by_age(std::vector<SetState>& sets);

}  // namespace estiba::controllers
