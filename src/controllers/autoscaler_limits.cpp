#include "controllers/autoscaler_limits.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace estiba::controllers {

using namespace model::autoscaling_v2;
using namespace std::chrono_literals;
using Memory = AutoscalerMemory;

namespace {

constexpr Duration default_window = 5min;  // in which a target without a behavior is not scaled below earlier recommendations

struct Verdict {
  int32_t replicas;
  std::string_view reason, message;
};
constexpr Verdict within(int32_t replicas) { return {replicas, "DesiredWithinRange", "the desired count is within the acceptable range"}; }
constexpr std::string_view too_fast_up = "the desired replica count is increasing faster than the maximum scale rate";
constexpr std::string_view too_fast_down = "the desired replica count is decreasing faster than the maximum scale rate";
constexpr std::string_view too_many = "the desired replica count is more than the maximum replica count";
constexpr std::string_view too_few = "the desired replica count is less than the minimum replica count";
constexpr std::string_view were_higher = "recent recommendations were higher than current one, applying the highest recent recommendation";
constexpr std::string_view were_lower = "recent recommendations were lower than current one, applying the lowest recent recommendation";

void note(Memory& memory, int32_t proposed, WallTime now, WallTime oldest) {
  std::erase_if(memory.recommendations, [&](const auto& each) { return each.at < oldest; });
  memory.recommendations.push_back({proposed, now});
}

int32_t change_within(const std::vector<Memory::Change>& changes, int32_t seconds, WallTime now) {
  int32_t sum = 0;
  for (const auto& change : changes)
    if (change.at > now - std::chrono::seconds(seconds)) sum += change.replicas;
  return sum;
}

// --- without a behavior ------------------------------------------------------------------------------------------------

Verdict limit_plainly(const HorizontalPodAutoscalerSpec& spec, int32_t current, int32_t desired) {
  const int32_t least = spec.minReplicas.value_or(1), doubled = std::max(2 * current, 4);
  if (desired < least) return {least, "TooFewReplicas", too_few};
  if (spec.maxReplicas > doubled) return desired > doubled ? Verdict{doubled, "ScaleUpLimit", too_fast_up} : within(desired);
  return desired > spec.maxReplicas ? Verdict{spec.maxReplicas, "TooManyReplicas", too_many} : within(desired);
}

// --- with a behavior ---------------------------------------------------------------------------------------------------

int32_t policy_limit(const HPAScalingRules& rules, const Memory& memory, int32_t current, bool up, WallTime now) {
  if (rules.selectPolicy == "Disabled") return current;
  const bool least_change = rules.selectPolicy == "Min";
  const bool take_larger = up != least_change;
  int64_t limit = take_larger ? std::numeric_limits<int32_t>::min() : std::numeric_limits<int32_t>::max();
  for (const HPAScalingPolicy& policy : rules.policies) {
    const int32_t start =
        current - change_within(memory.ups, policy.periodSeconds, now) + change_within(memory.downs, policy.periodSeconds, now);
    int64_t proposed = start;
    if (policy.type == "Pods") proposed += up ? policy.value : -policy.value;
    else if (up) proposed = int64_t(std::ceil(double(start) * (1 + double(policy.value) / 100)));
    else proposed = int64_t(double(start) * (1 - double(policy.value) / 100));
    limit = take_larger ? std::max(limit, proposed) : std::min(limit, proposed);
  }
  return int32_t(std::clamp<int64_t>(limit, std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max()));
}

Verdict limit_by_policies(const HorizontalPodAutoscalerSpec& spec, const HorizontalPodAutoscalerBehavior& behavior, const Memory& memory,
                          int32_t current, int32_t desired, WallTime now) {
  if (desired > current) {
    const int32_t limit = std::max(policy_limit(*behavior.scaleUp, memory, current, true, now), current);
    const bool by_rate = spec.maxReplicas > limit;
    const int32_t most = by_rate ? limit : spec.maxReplicas;
    if (desired > most) return by_rate ? Verdict{most, "ScaleUpLimit", too_fast_up} : Verdict{most, "TooManyReplicas", too_many};
  } else if (desired < current) {
    const int32_t limit = std::min(policy_limit(*behavior.scaleDown, memory, current, false, now), current);
    const int32_t least = spec.minReplicas.value_or(1);
    const bool by_rate = least < limit;
    const int32_t fewest = by_rate ? limit : least;
    if (desired < fewest) return by_rate ? Verdict{fewest, "ScaleDownLimit", too_fast_down} : Verdict{fewest, "TooFewReplicas", too_few};
  }
  return within(desired);
}

int32_t stabilize(const HorizontalPodAutoscalerBehavior& behavior, Memory& memory, int32_t current, int32_t proposed, WallTime now) {
  const auto window = [](const HPAScalingRules& rules) { return std::chrono::seconds(rules.stabilizationWindowSeconds.value_or(0)); };
  const WallTime up_from = now - window(*behavior.scaleUp), down_from = now - window(*behavior.scaleDown);
  int32_t up = proposed, down = proposed;
  for (const auto& each : memory.recommendations) {
    if (each.at > up_from) up = std::min(up, each.replicas);
    if (each.at > down_from) down = std::max(down, each.replicas);
  }
  note(memory, proposed, now, std::min(up_from, down_from));
  return std::min(std::max(current, up), down);
}

HPAScalingRules complete_rules(const HPAScalingRules* given, std::vector<HPAScalingPolicy> policies, int32_t window) {
  HPAScalingRules rules = given ? *given : HPAScalingRules{};
  if (rules.selectPolicy.empty()) rules.selectPolicy = "Max";
  if (rules.policies.empty()) rules.policies = std::move(policies);
  if (!rules.stabilizationWindowSeconds) rules.stabilizationWindowSeconds = window;
  return rules;
}

}  // namespace

HorizontalPodAutoscalerBehavior complete_behavior(const HorizontalPodAutoscalerBehavior& given) {
  HorizontalPodAutoscalerBehavior whole;
  whole.scaleUp.ensure() =
      complete_rules(given.scaleUp ? &*given.scaleUp : nullptr,
                     {{.type = "Pods", .value = 4, .periodSeconds = 15}, {.type = "Percent", .value = 100, .periodSeconds = 15}}, 0);
  whole.scaleDown.ensure() = complete_rules(given.scaleDown ? &*given.scaleDown : nullptr,
                                            {{.type = "Percent", .value = 100, .periodSeconds = 15}}, int32_t(default_window / 1s));
  return whole;
}

void AutoscalerMemory::changed(const HorizontalPodAutoscalerBehavior& behavior, int32_t before, int32_t after, WallTime now) {
  const HPAScalingRules& rules = after > before ? *behavior.scaleUp : *behavior.scaleDown;
  int32_t longest = 0;
  for (const HPAScalingPolicy& policy : rules.policies) longest = std::max(longest, policy.periodSeconds);
  auto& changes = after > before ? ups : downs;
  std::erase_if(changes, [&](const Change& each) { return each.at < now - std::chrono::seconds(longest); });
  changes.push_back({std::abs(after - before), now});
}

Limited limit_replicas(const HorizontalPodAutoscalerSpec& spec, AutoscalerMemory& memory, int32_t current, int32_t proposed, WallTime now) {
  int32_t stable = proposed;
  Verdict verdict{};
  std::string_view reason = "ScaleDownStabilized", message = were_higher;
  if (spec.behavior) {
    const HorizontalPodAutoscalerBehavior behavior = complete_behavior(*spec.behavior);
    stable = stabilize(behavior, memory, current, proposed, now);
    if (proposed >= current) reason = "ScaleUpStabilized", message = were_lower;
    verdict = limit_by_policies(spec, behavior, memory, current, stable, now);
  } else {
    const WallTime oldest = now - default_window;
    for (const auto& each : memory.recommendations)
      if (each.at >= oldest) stable = std::max(stable, each.replicas);
    note(memory, proposed, now, oldest);
    verdict = limit_plainly(spec, current, stable);
  }
  if (stable == proposed) reason = "ReadyForNewScale", message = "recommended size matches current size";
  return {verdict.replicas,           std::string(reason),         std::string(message),
          verdict.replicas != stable, std::string(verdict.reason), std::string(verdict.message)};
}

}  // namespace estiba::controllers
