#include "client/device_taints.h"

namespace estiba::client {

using json::Node;

namespace {

std::string text(const Node& node, std::string_view key) { return std::string(node.string_at(key)); }

DeviceTaint read_taint(const Node& node) { return {text(node, "key"), text(node, "value"), text(node, "effect"), text(node, "timeAdded")}; }

std::optional<std::string> optional_text(const Node& node, std::string_view key) {
  const Node* found = node.find(key);
  return found && found->is_string() ? std::optional(std::string(found->as_string())) : std::nullopt;
}

bool is_or_any(const std::optional<std::string>& wanted, std::string_view name) { return !wanted || *wanted == name; }

}  // namespace

std::vector<DeviceTaint> read_device_taints(const Node& device) {
  std::vector<DeviceTaint> out;
  if (const Node* taints = device.find("taints"))
    for (const Node& taint : *taints) out.push_back(read_taint(taint));
  return out;
}

bool DeviceToleration::tolerates(const DeviceTaint& taint) const {
  if (!effect.empty() && effect != taint.effect) return false;
  if (!key.empty() && key != taint.key) return false;
  if (op == "Exists") return true;
  return (op.empty() || op == "Equal") && value == taint.value;
}

std::vector<DeviceToleration> read_device_tolerations(const Node& holder) {
  std::vector<DeviceToleration> out;
  const Node* list = holder.find("tolerations");
  if (!list) return out;
  for (const Node& one : *list) {
    const Node* seconds = one.find("tolerationSeconds");
    out.push_back({text(one, "key"), text(one, "operator"), text(one, "value"), text(one, "effect"),
                   seconds && !seconds->is_null() ? std::optional(seconds->as_int().value_or(0)) : std::nullopt});
  }
  return out;
}

bool DeviceTaintRule::selects(std::string_view of_driver, std::string_view of_pool, std::string_view name) const {
  return is_or_any(driver, of_driver) && is_or_any(pool, of_pool) && is_or_any(device, name);
}

std::optional<DeviceTaintRule> read_device_taint_rule(const model::ObjectRef& object) {
  const auto document = json::Document::parse(object.object->json());
  const Node* spec = document ? document->root().find("spec") : nullptr;
  if (!spec) return std::nullopt;
  DeviceTaintRule rule{.name = object.meta().name, .uid = object.meta().uid};
  if (const Node* selector = spec->find("deviceSelector"); selector && selector->is_object()) {
    rule.has_selector = true;
    rule.driver = optional_text(*selector, "driver");
    rule.pool = optional_text(*selector, "pool");
    rule.device = optional_text(*selector, "device");
  }
  if (const Node* taint = spec->find("taint")) rule.taint = read_taint(*taint);
  return rule;
}

}  // namespace estiba::client
