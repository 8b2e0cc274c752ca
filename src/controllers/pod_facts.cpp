#include "controllers/pod_facts.h"

#include "base/time.h"

namespace estiba::controllers {

using model::core_v1::Pod;
using model::core_v1::PodCondition;

WallTime time_or_epoch(std::string_view rfc3339) {
  if (rfc3339.empty()) return {};
  auto time = parse_rfc3339(rfc3339);
  return time ? *time : WallTime{};
}

bool is_finished(const Pod& pod) { return pod.status.phase == "Succeeded" || pod.status.phase == "Failed"; }

bool is_active(const model::ObjectRef& pod) { return pod.meta().deletion_timestamp.empty() && !is_finished(pod.as<Pod>()); }

const PodCondition* find_condition(const Pod& pod, std::string_view type) {
  for (const PodCondition& condition : pod.status.conditions)
    if (condition.type == type) return &condition;
  return nullptr;
}

bool is_ready(const Pod& pod) {
  const PodCondition* ready = find_condition(pod, "Ready");
  return ready && ready->status == "True";
}

std::optional<WallTime> available_at(const Pod& pod, int64_t min_ready_seconds) {
  const PodCondition* ready = find_condition(pod, "Ready");
  if (!ready || ready->status != "True") return std::nullopt;
  if (min_ready_seconds == 0) return WallTime{};
  return time_or_epoch(ready->lastTransitionTime) + std::chrono::seconds(min_ready_seconds);
}

}  // namespace estiba::controllers
