#include "node/restart_policy.h"

#include <algorithm>

namespace estiba::node {

using namespace model::core_v1;

RestartAction rule_for(const Container& container, int exit_code) {
  for (const ContainerRestartRule& rule : container.restartPolicyRules) {
    if (!rule.exitCodes) continue;
    const bool listed = std::ranges::find(rule.exitCodes->values, exit_code) != rule.exitCodes->values.end();
    if (listed != (rule.exitCodes->operator_ == "In")) continue;
    return rule.action == "Restart"                ? RestartAction::restart
           : rule.action == "RestartAllContainers" ? RestartAction::restart_all
                                                   : RestartAction::none;
  }
  return RestartAction::none;
}

const std::string& restart_policy(const Container& container, const PodSpec& pod) {
  static const std::string always = "Always";
  return !container.restartPolicy.empty() ? container.restartPolicy : !pod.restartPolicy.empty() ? pod.restartPolicy : always;
}

bool should_restart(const Container& container, const PodSpec& pod, int exit_code) {
  if (!container.restartPolicy.empty() && rule_for(container, exit_code) != RestartAction::none) return true;
  const std::string& policy = restart_policy(container, pod);
  return policy == "OnFailure" ? exit_code != 0 : policy != "Never";
}

bool all_may_restart(const PodSpec& pod) {
  const auto asks = [](const Container& container) {
    return std::ranges::any_of(container.restartPolicyRules, [](const auto& rule) { return rule.action == "RestartAllContainers"; });
  };
  return std::ranges::any_of(pod.initContainers, asks) || std::ranges::any_of(pod.containers, asks);
}

}  // namespace estiba::node
