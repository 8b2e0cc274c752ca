#include "controllers/job_policy.h"

#include <algorithm>

#include "base/strings.h"
#include "client/informer.h"

namespace estiba::controllers {

using model::ObjectRef;
using model::batch_v1::JobSpec;
using model::batch_v1::PodFailurePolicyRule;
using model::core_v1::ContainerStatus;
using model::core_v1::Pod;

// What an exit code rule matches, or nothing.
static std::optional<std::string> matching_exit(const PodFailurePolicyRule& rule, const ObjectRef& object, size_t index) {
  if (!rule.onExitCodes) return std::nullopt;
  const auto& codes = *rule.onExitCodes;
  const Pod& pod = object.as<Pod>();
  for (const auto* list : {&pod.status.containerStatuses, &pod.status.initContainerStatuses}) {
    for (const ContainerStatus& container : *list) {
      if (!codes.containerName.empty() && container.name != codes.containerName) continue;
      if (!container.state || !container.state->terminated) continue;
      const int32_t code = container.state->terminated->exitCode;
      const bool listed = std::ranges::find(codes.values, code) != codes.values.end();
      if (code == 0 || listed != (codes.operator_ == "In")) continue;
      return "Container " + container.name + " for pod " + client::key_of(object) + " failed with exit code " + std::to_string(code) +
             " matching " + rule.action + " rule at index " + std::to_string(index);
    }
  }
  return std::nullopt;
}

static std::optional<std::string> matching_condition(const PodFailurePolicyRule& rule, const ObjectRef& object, size_t index) {
  for (const auto& pattern : rule.onPodConditions)
    for (const auto& condition : object.as<Pod>().status.conditions)
      if (condition.type == pattern.type && condition.status == (pattern.status.empty() ? "True" : pattern.status))
        return "Pod " + client::key_of(object) + " has condition " + pattern.type + " matching " + rule.action + " rule at index " +
               std::to_string(index);
  return std::nullopt;
}

FailureVerdict judge_failure(const JobSpec& spec, const ObjectRef& pod) {
  if (!spec.podFailurePolicy) return {};
  for (size_t i = 0; i < spec.podFailurePolicy->rules.size(); ++i) {
    const PodFailurePolicyRule& rule = spec.podFailurePolicy->rules[i];
    auto matched = matching_exit(rule, pod, i);
    if (!matched) matched = matching_condition(rule, pod, i);
    if (!matched) continue;
    if (rule.action == "Ignore") return {FailureAction::ignore, {}};
    if (rule.action == "FailJob") return {FailureAction::fail_job, std::move(*matched)};
    if (rule.action == "FailIndex" && spec.backoffLimitPerIndex) return {FailureAction::fail_index, {}};
    return {};
  }
  return {};
}

std::optional<std::string> fulfilled_success_rule(const JobSpec& spec, const IndexSet& succeeded) {
  if (!spec.successPolicy) return std::nullopt;
  for (size_t i = 0; i < spec.successPolicy->rules.size(); ++i) {
    const auto& rule = spec.successPolicy->rules[i];
    const std::string message = "Matched rules at index " + std::to_string(i);
    if (rule.succeededIndexes.empty()) {
      if (rule.succeededCount && succeeded.size() >= *rule.succeededCount) return message;
      continue;
    }
    int64_t wanted = 0, have = 0;
    for (std::string_view part : split(rule.succeededIndexes, ',')) {
      const auto [from, to] = split_once(part, '-');
      const int64_t first = parse_number<int64_t>(from).value_or(0), last = to ? parse_number<int64_t>(*to).value_or(first) : first;
      for (int64_t index = first; index <= last; ++index, ++wanted) have += succeeded.contains(index);
    }
    if (have >= rule.succeededCount.value_or(int32_t(wanted))) return message;
  }
  return std::nullopt;
}

}  // namespace estiba::controllers
