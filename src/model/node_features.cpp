#include "model/node_features.h"

#include <algorithm>

namespace estiba::model::node_features {

using core_v1::Container;

std::vector<std::string> declared_here() {
  return {std::string(web_sockets), std::string(pod_resize), std::string(init_container_resize), std::string(restart_all)};
}

static bool restarts_all(const std::vector<Container>& containers) {
  return std::ranges::any_of(containers, [](const Container& container) {
    return std::ranges::any_of(container.restartPolicyRules, [](const auto& rule) { return rule.action == "RestartAllContainers"; });
  });
}

std::vector<std::string_view> needed_by(const core_v1::PodSpec& spec) {
  std::vector<std::string_view> out;
  if (restarts_all(spec.containers) || restarts_all(spec.initContainers)) out.push_back(restart_all);
  if (spec.hostNetwork.value_or(false) && !spec.hostUsers.value_or(true)) out.push_back(user_namespace_on_host_network);
  return out;
}

// What is not there, null and {} say the same.
static bool same_resources(const json::Node& before, const json::Node& after) {
  const auto given = [](const json::Node& object) -> const json::Node* {
    const json::Node* resources = object.find("resources");
    return resources && resources->is_object() && !resources->empty() ? resources : nullptr;
  };
  const json::Node *a = given(before), *b = given(after);
  return a && b ? json::equal(*a, *b) : a == b;
}

std::vector<std::string_view> needed_by_change(const json::Node& before, const json::Node& after) {
  std::vector<std::string_view> out;
  if (!same_resources(before, after)) out.push_back(pod_resize);
  const json::Node *old = before.find("initContainers"), *now = after.find("initContainers");
  if (!old || !now || !old->is_array() || !now->is_array() || old->size() != now->size()) return out;
  for (uint32_t i = 0; i < old->size(); ++i) {
    const json::Node& container = (*old)[i];
    if (container.string_at("restartPolicy") == "Always" || same_resources(container, (*now)[i])) continue;
    out.push_back(init_container_resize);
    break;
  }
  return out;
}

std::string missing(const std::vector<std::string_view>& needed, const std::vector<std::string>& declared) {
  std::string out;
  for (const std::string_view name : needed)
    if (std::ranges::find(declared, name) == declared.end()) out.append(out.empty() ? "" : ", ").append(name);
  return out;
}

}  // namespace estiba::model::node_features
