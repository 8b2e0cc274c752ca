// What an allocation looks like in a claim's status.
#include <algorithm>

#include "base/strings.h"
#include "client/json_writer.h"
#include "model/codec.h"
#include "scheduler/devices/allocator.h"

namespace estiba::scheduler::devices {

using client::JsonWriter;
using model::core_v1::NodeSelector;
using model::core_v1::NodeSelectorRequirement;

namespace {

void write_texts(JsonWriter& json, std::string_view key, const std::vector<std::string>& texts) {
  if (texts.empty()) return;
  json.array(key);
  for (const std::string& text : texts) json.value(text);
  json.end();
}

void write_result(JsonWriter& json, const Assigned& assigned) {
  const Device& device = *assigned.device;
  json.object().field("request", assigned.wish->name).field("driver", assigned.slice->driver).field("pool", assigned.slice->pool);
  json.field("device", device.name);
  if (assigned.wish->admin) json.field("adminAccess", true);
  if (!assigned.wish->tolerations_text.empty()) json.raw("tolerations", assigned.wish->tolerations_text);
  write_texts(json, "bindingConditions", device.binding_conditions);
  write_texts(json, "bindingFailureConditions", device.binding_failure_conditions);
  if (device.allows_multiple) {
    json.field("shareID", random_uuid());
    if (!assigned.consumed.empty()) {
      json.object("consumedCapacity");
      for (const auto& [name, amount] : assigned.consumed) json.field(name, amount.print());
      json.end();
    }
  }
  json.end();
}

void write_config(JsonWriter& json, std::string_view source, const std::vector<std::string>& requests, const std::string& opaque) {
  json.object().field("source", source);
  write_texts(json, "requests", requests);
  if (!opaque.empty()) json.raw("opaque", opaque);
  json.end();
}

// A class's configurations once, for all requests that use it; then the claim's own that concern what was chosen.
std::string configs_text(const Claim& claim, const Allocation& allocation) {
  JsonWriter json;
  json.array();
  std::vector<std::pair<const DeviceClass*, std::vector<std::string>>> classes;
  const auto chosen = [&](size_t i) -> const Wish& { return claim.requests[i].wishes[allocation.chosen[i]]; };
  for (size_t i = 0; i < claim.requests.size(); ++i) {
    const DeviceClass* of = allocation.classes[i].get();
    auto known = std::ranges::find(classes, of, &std::pair<const DeviceClass*, std::vector<std::string>>::first);
    if (known == classes.end()) known = classes.insert(known, {of, {}});
    known->second.push_back(chosen(i).name);
  }
  for (const auto& [of, requests] : classes)
    for (const Config& config : of->configs) write_config(json, "FromClass", requests, config.opaque);
  for (const Config& config : claim.configs) {
    bool concerns = config.requests.empty();
    for (size_t i = 0; i < claim.requests.size(); ++i)
      concerns |= std::ranges::contains(config.requests, claim.requests[i].name) || std::ranges::contains(config.requests, chosen(i).name);
    if (concerns) write_config(json, "FromClaim", config.requests, config.opaque);
  }
  json.end();
  return json.take();
}

void add_new(const std::vector<NodeSelectorRequirement>& from, std::vector<NodeSelectorRequirement>& to) {
  for (const NodeSelectorRequirement& one : from)
    if (std::ranges::none_of(to, [&](const auto& other) { return model::same(one, other); })) to.push_back(one);
}

/// Where all of the devices can be reached; nothing when that is everywhere.
std::optional<NodeSelector> reach_of(const Allocation& allocation, const std::string& node) {
  NodeSelector out;
  auto& term = out.nodeSelectorTerms.emplace_back();
  for (const Assigned& assigned : allocation.devices) {
    const Reach& reach = assigned.slice->each_device ? assigned.device->reach : assigned.slice->reach;
    if (!reach.node.empty() || assigned.device->binds_to_node) {
      term = {};
      term.matchFields.push_back({.key = "metadata.name", .operator_ = "In", .values = {node}});
      return out;
    }
    if (!reach.selector || reach.selector->nodeSelectorTerms.empty()) continue;
    add_new(reach.selector->nodeSelectorTerms[0].matchExpressions, term.matchExpressions);
    add_new(reach.selector->nodeSelectorTerms[0].matchFields, term.matchFields);
  }
  if (term.matchExpressions.empty() && term.matchFields.empty()) return std::nullopt;
  return out;
}

}  // namespace

std::vector<DeviceUse> Allocation::uses() const {
  std::vector<DeviceUse> out;
  for (const Assigned& assigned : devices)
    if (!assigned.wish->admin) out.push_back({assigned.device->id, assigned.device->allows_multiple, assigned.consumed});
  return out;
}

std::string allocation_text(const Claim& claim, const Allocation& allocation, const std::string& node, std::string_view now) {
  JsonWriter json;
  json.object().object("devices").array("results");
  for (const Assigned& assigned : allocation.devices) write_result(json, assigned);
  json.end();
  if (const std::string configs = configs_text(claim, allocation); configs != "[]") json.raw("config", configs);
  json.end();
  if (const auto reach = reach_of(allocation, node)) json.raw("nodeSelector", model::encode(*reach));
  json.field("allocationTimestamp", now).end();
  return json.take();
}

}  // namespace estiba::scheduler::devices
