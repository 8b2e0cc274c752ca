#include "controllers/rollout_math.h"

#include <algorithm>
#include <cmath>

#include "base/strings.h"
#include "controllers/annotations.h"

namespace estiba::controllers {

using model::apps_v1::DeploymentSpec;

// What cannot be read counts as 0: the API server refuses it.
static int64_t resolve(const model::IntOrString& value, int64_t total, bool up) { return value.scaled(int32_t(total), up).value_or(0); }

RolloutBounds rollout_bounds(const DeploymentSpec& spec) {
  if (spec.strategy && spec.strategy->type == "Recreate") return {};
  const int64_t replicas = spec.replicas.value_or(1);
  model::IntOrString surge = "25%", unavailable = "25%";
  if (spec.strategy && spec.strategy->rollingUpdate) {
    const auto& rolling = *spec.strategy->rollingUpdate;
    if (rolling.maxSurge) surge = rolling.maxSurge;
    if (rolling.maxUnavailable) unavailable = rolling.maxUnavailable;
  }
  RolloutBounds bounds{resolve(surge, replicas, true), resolve(unavailable, replicas, false)};
  if (bounds.surge == 0 && bounds.unavailable == 0) bounds.unavailable = 1;
  bounds.unavailable = std::min(bounds.unavailable, replicas);
  return bounds;
}

SetState SetState::of(const model::ObjectRef& set) {
  const auto& typed = set.as<model::apps_v1::ReplicaSet>();
  SetState state{.object = set};
  state.replicas = typed.spec.replicas.value_or(1);
  state.actual = typed.status.replicas;
  state.ready = typed.status.readyReplicas.value_or(0);
  state.available = typed.status.availableReplicas.value_or(0);
  state.revision = parse_number<int64_t>(set.meta().annotation(revision_annotation)).value_or(0);
  state.desired = parse_number<int64_t>(set.meta().annotation(desired_annotation)).value_or(-1);
  state.most = parse_number<int64_t>(set.meta().annotation(most_annotation)).value_or(-1);
  return state;
}

Totals totals(const std::vector<SetState>& sets) {
  Totals sum;
  for (const SetState& set : sets) {
    sum.replicas += set.replicas;
    sum.actual += set.actual;
    sum.ready += set.ready;
    sum.available += set.available;
  }
  return sum;
}

int64_t new_set_size(const DeploymentSpec& spec, int64_t total, int64_t current) {
  const int64_t replicas = spec.replicas.value_or(1);
  if (spec.strategy && spec.strategy->type == "Recreate") return replicas;
  const int64_t most = replicas + rollout_bounds(spec).surge;
  if (total >= most) return current;
  return current + std::min(most - total, replicas - current);
}

std::vector<int64_t> old_set_sizes(const DeploymentSpec& spec, const std::vector<SetState>& old, const SetState& fresh) {
  std::vector<int64_t> sizes;
  for (const SetState& set : old) sizes.push_back(set.replicas);
  Totals all = totals(old);
  all.replicas += fresh.replicas;
  all.available += fresh.available;
  const int64_t least = spec.replicas.value_or(1) - rollout_bounds(spec).unavailable;

  // Pods of the new set that are not available yet may not be paid for by available old ones.
  int64_t budget = all.replicas - least - (fresh.replicas - fresh.available);
  if (budget <= 0) return sizes;
  for (size_t i = 0; i < old.size() && budget > 0; ++i) {
    const int64_t unhealthy = std::min(budget, std::max<int64_t>(0, old[i].replicas - old[i].available));
    sizes[i] -= unhealthy;
    budget -= unhealthy;
  }
  int64_t spare = all.available - least;
  for (size_t i = 0; i < old.size() && spare > 0; ++i) {
    const int64_t healthy = std::min(spare, sizes[i]);
    sizes[i] -= healthy;
    spare -= healthy;
  }
  return sizes;
}

// By how much one set grows or shrinks to keep its part of the whole.
static int64_t fraction(const SetState& set, int64_t replicas, int64_t most, int64_t status_replicas) {
  if (replicas == 0) return -set.replicas;
  const int64_t before = set.most > 0 ? set.most : status_replicas;
  if (before == 0) return 0;
  return std::llround(double(set.replicas) * double(most) / double(before)) - set.replicas;
}

std::vector<int64_t> proportional_sizes(const DeploymentSpec& spec, const std::vector<SetState>& active, int64_t status_replicas) {
  const int64_t replicas = spec.replicas.value_or(1);
  const int64_t most = replicas > 0 ? replicas + rollout_bounds(spec).surge : 0;
  const int64_t missing = most - totals(active).replicas;
  std::vector<size_t> order(active.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  // Largest first; of equals the newest grows first and the oldest shrinks first.
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    if (active[a].replicas != active[b].replicas) return active[a].replicas > active[b].replicas;
    const auto &x = active[a].object.meta().creation_timestamp, &y = active[b].object.meta().creation_timestamp;
    return missing > 0 ? x > y : x < y;
  });
  std::vector<int64_t> sizes(active.size());
  int64_t given = 0;
  for (size_t i : order) {
    sizes[i] = active[i].replicas;
    if (missing == 0 || active[i].replicas == 0 || given == missing) continue;
    const int64_t wish = fraction(active[i], replicas, most, status_replicas);
    const int64_t share = missing > 0 ? std::min(wish, missing - given) : std::max(wish, missing - given);
    sizes[i] += share;
    given += share;
  }
  if (!order.empty() && missing != 0) sizes[order[0]] = std::max<int64_t>(0, sizes[order[0]] + missing - given);
  return sizes;
}

void sort_by_age(std::vector<SetState>& sets) {
  std::sort(sets.begin(), sets.end(), [](const SetState& a, const SetState& b) {
    const auto &x = a.object.meta(), &y = b.object.meta();
    return std::tie(x.creation_timestamp, x.name) < std::tie(y.creation_timestamp, y.name);
  });
}

}  // namespace estiba::controllers
