#include "scheduler/devices/claims.h"

#include <algorithm>

#include "client/node_selectors.h"
#include "model/codec.h"

namespace estiba::scheduler::devices {

using json::Node;

namespace {

template <class F>
void each(const Node* holder, std::string_view key, F&& visit) {
  if (const Node* list = holder ? holder->find(key) : nullptr)
    for (const Node& item : *list) visit(item);
}

std::string text(const Node& node, std::string_view key) { return std::string(node.string_at(key)); }

std::vector<std::string> texts(const Node& node, std::string_view key) {
  std::vector<std::string> out;
  each(&node, key, [&](const Node& item) { out.emplace_back(item.as_string()); });
  return out;
}

std::vector<std::string> selectors_of(const Node& node) {
  std::vector<std::string> out;
  each(&node, "selectors", [&](const Node& selector) { out.emplace_back(selector.string_at("cel", "expression")); });
  return out;
}

Amounts amounts(const Node* map) {
  Amounts out;
  if (map)
    for (const Node& entry : *map) out[std::string(entry.key())] = Quantity::parse(entry.as_string()).value_or(Quantity());
  return out;
}

Wish read_wish(const Node& node, std::string name) {
  Wish wish{.name = std::move(name), .device_class = text(node, "deviceClassName"), .selectors = selectors_of(node)};
  wish.all = node.string_at("allocationMode") == "All";
  if (const Node* count = node.find("count")) wish.count = count->as_int().value_or(1);
  if (const Node* admin = node.find("adminAccess")) wish.admin = admin->as_bool();
  wish.tolerations = client::read_device_tolerations(node);
  if (!wish.tolerations.empty()) wish.tolerations_text = json::print(*node.find("tolerations"));
  wish.capacity = amounts(node.at("capacity", "requests"));
  return wish;
}

Request read_request(const Node& node) {
  Request request{.name = text(node, "name"), .wishes = {}};
  if (const Node* exactly = node.find("exactly"); exactly && exactly->is_object())
    request.wishes.push_back(read_wish(*exactly, request.name));
  each(&node, "firstAvailable", [&](const Node& part) {
    request.alternatives = true;
    request.wishes.push_back(read_wish(part, request.name + "/" + text(part, "name")));
  });
  return request;
}

Config read_config(const Node& node) {
  const Node* opaque = node.find("opaque");
  return {texts(node, "requests"), opaque ? json::print(*opaque) : std::string()};
}

bool is_true(const Node* conditions, std::string_view type, std::string* message = nullptr) {
  bool found = false;
  if (conditions)
    for (const Node& condition : *conditions)
      if (condition.string_at("type") == type && condition.string_at("status") == "True") {
        found = true;
        if (message) *message = "reason=" + text(condition, "reason") + ", message=" + text(condition, "message");
      }
  return found;
}

// What its driver says of the device, and whether that is what it waits for.
void judge_binding(const Node& status, const Node& result, Claim& claim) {
  const Node* conditions = nullptr;
  each(&status, "devices", [&](const Node& device) {
    if (device.string_at("driver") == result.string_at("driver") && device.string_at("pool") == result.string_at("pool") &&
        device.string_at("device") == result.string_at("device"))
      conditions = device.find("conditions");
  });
  each(&result, "bindingConditions", [&](const Node& type) {
    claim.has_conditions = true;
    claim.binding.waits |= !is_true(conditions, type.as_string());
  });
  each(&result, "bindingFailureConditions", [&](const Node& type) {
    std::string why;
    if (is_true(conditions, type.as_string(), &why) && claim.binding.failure.empty())
      claim.binding.failure = "device binding failed: claim=" + claim.meta().name + ", " + why;
  });
}

void read_status(const Node& status, Claim& claim) {
  const Node* allocation = status.find("allocation");
  if (!allocation || !allocation->is_object()) return;
  if (const Node* selector = allocation->find("nodeSelector"); selector && selector->is_object())
    if (auto read = model::decode<model::core_v1::NodeSelector>(*selector)) claim.reach = std::move(*read);
  each(allocation->find("devices"), "results", [&](const Node& result) {
    claim.chosen.push_back(text(result, "request"));
    judge_binding(status, result, claim);
    // Who looks after a device for everybody does not take it from them.
    if (const Node* admin = result.find("adminAccess"); admin && admin->as_bool()) return;
    claim.devices.push_back({text(result, "driver") + "/" + text(result, "pool") + "/" + text(result, "device"),
                             !result.string_at("shareID").empty(), amounts(result.find("consumedCapacity"))});
  });
}

}  // namespace

bool Constraint::concerns(const Request& request, const Wish& wish) const {
  return requests.empty() || std::ranges::contains(requests, request.name) || std::ranges::contains(requests, wish.name);
}

bool Claim::reaches(const NodeState& node) const {
  return !reach || std::ranges::any_of(reach->nodeSelectorTerms,
                                       [&](const auto& term) { return node.node && client::matches(term, node.node.meta()); });
}

DeviceClassPtr read_class(const model::ObjectRef& object) {
  const auto document = json::Document::parse(object.object->json());
  if (!document) return nullptr;
  auto out = std::make_shared<DeviceClass>(DeviceClass{.name = object.meta().name});
  const Node* spec = document->root().find("spec");
  if (!spec) return out;
  out->selectors = selectors_of(*spec);
  each(spec, "config", [&](const Node& config) { out->configs.push_back(read_config(config)); });
  out->extended_resource = text(*spec, "extendedResourceName");
  return out;
}

ClaimPtr read_claim(const model::ObjectRef& object) {
  const auto document = json::Document::parse(object.object->json());
  if (!document) return nullptr;
  auto claim = std::make_shared<Claim>(Claim{.object = object, .use = client::claim_use(object)});
  const Node* devices = document->root().at("spec", "devices");
  each(devices, "requests", [&](const Node& request) { claim->requests.push_back(read_request(request)); });
  each(devices, "constraints", [&](const Node& one) {
    const bool distinct = one.string_at("matchAttribute").empty();
    claim->constraints.push_back({texts(one, "requests"), text(one, distinct ? "distinctAttribute" : "matchAttribute"), distinct});
  });
  each(devices, "config", [&](const Node& config) { claim->configs.push_back(read_config(config)); });
  if (const Node* status = document->root().find("status")) read_status(*status, *claim);
  return claim;
}

}  // namespace estiba::scheduler::devices
