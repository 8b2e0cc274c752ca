#include "node/devices/ledger.h"

#include <algorithm>

#include "base/strings.h"
#include "client/json_writer.h"
#include "model/json.h"
#include "model/quantity.h"

namespace estiba::node {

using plugin_api::ContainerAllocation;

void DeviceLedger::set_devices(const std::string& resource, const std::vector<plugin_api::Device>& devices) {
  auto& known = devices_[resource];
  known.clear();
  for (const plugin_api::Device& device : devices) {
    Known& one = known[device.id];
    one.healthy = device.health == plugin_api::healthy;
    for (const plugin_api::NumaNode& node : device.topology.nodes) one.nodes.insert(int(node.id));
  }
}

void DeviceLedger::set_all_unhealthy(const std::string& resource) {
  for (auto& [id, device] : devices_[resource]) device.healthy = false;
}

void DeviceLedger::forget(const std::string& resource) { devices_.erase(resource); }

std::map<std::string, DeviceLedger::Count> DeviceLedger::counts() const {
  std::map<std::string, Count> out;
  for (const auto& [resource, devices] : devices_)
    out[resource] = {int64_t(devices.size()), std::ranges::count_if(devices, [](const auto& entry) { return entry.second.healthy; })};
  return out;
}

std::map<std::string, DeviceLedger::Ids> DeviceLedger::healthy() const {
  std::map<std::string, Ids> out;
  for (const auto& [resource, devices] : devices_)
    for (const auto& [id, device] : devices)
      if (device.healthy) out[resource].insert(id);
  return out;
}

DeviceLedger::Ids DeviceLedger::free(const std::string& resource) const {
  Ids out;
  if (const auto known = devices_.find(resource); known != devices_.end())
    for (const auto& [id, device] : known->second)
      if (device.healthy) out.insert(id);
  for (const auto& [pod, containers] : given_)
    for (const auto& [place, given] : containers)
      if (place.second == resource)
        for (const std::string& id : given.ids) out.erase(id);
  return out;
}

NumaNodes DeviceLedger::nodes_of(const std::string& resource, const std::string& id) const {
  const auto known = devices_.find(resource);
  if (known == devices_.end()) return {};
  const auto device = known->second.find(id);
  return device == known->second.end() ? NumaNodes{} : device->second.nodes;
}

DeviceLedger::Ids DeviceLedger::near(const std::string& resource, const Ids& ids, const NumaNodes& nodes) const {
  Ids out;
  for (const std::string& id : ids)
    if (!(nodes_of(resource, id) & nodes).empty()) out.insert(id);
  return out;
}

std::optional<std::vector<Hint>> DeviceLedger::hints(const std::string& resource, size_t count, const Ids& reusable,
                                                     const NumaNodes& all) const {
  Ids whole;
  if (const auto known = devices_.find(resource); known != devices_.end())
    for (const auto& [id, device] : known->second)
      if (!device.nodes.empty()) whole.insert(id);
  if (whole.empty()) return std::nullopt;
  Ids there = free(resource);
  there.insert(reusable.begin(), reusable.end());
  if (there.size() < count) return std::vector<Hint>{};
  return hints_by_count(
      all, count, [&](const NumaNodes& nodes) { return near(resource, there, nodes).size(); },
      [&](const NumaNodes& nodes) { return near(resource, whole, nodes).size(); });
}

Result<std::vector<std::string>> DeviceLedger::choose(const Wish& wish, const Ids& reusable, const std::vector<std::string>& preferred,
                                                      const std::optional<NumaNodes>& nodes) const {
  std::vector<std::string> out;
  const auto take = [&](const std::string& id) {
    if (out.size() < wish.count && !std::ranges::contains(out, id)) out.push_back(id);
  };
  if (nodes)
    for (const std::string& id : near(wish.resource, reusable, *nodes)) take(id);
  for (const std::string& id : reusable) take(id);
  const Ids free_ones = free(wish.resource);
  const size_t available = free_ones.size();
  for (const std::string& id : preferred)
    if (free_ones.contains(id)) take(id);
  if (nodes)
    for (const std::string& id : near(wish.resource, free_ones, *nodes)) take(id);
  for (const std::string& id : free_ones) take(id);
  if (out.size() < wish.count)
    return fail(Code::exhausted, "requested number of devices unavailable for " + wish.resource +
                                     ". Requested: " + std::to_string(wish.count - std::min(wish.count, reusable.size())) +
                                     ", Available: " + std::to_string(available));
  return out;
}

void DeviceLedger::give(const Wish& wish, std::vector<std::string> ids, ContainerAllocation answer) {
  given_[wish.pod][{wish.container, wish.resource}] = {std::move(ids), std::move(answer)};
}

void DeviceLedger::keep_only(const std::set<std::string>& pods) {
  std::erase_if(given_, [&](const auto& entry) { return !pods.contains(entry.first); });
}

void DeviceLedger::release(const std::string& pod) { given_.erase(pod); }

std::map<std::string, DeviceLedger::Given> DeviceLedger::given_to(const std::string& pod, const std::string& container) const {
  std::map<std::string, Given> out;
  if (const auto found = given_.find(pod); found != given_.end())
    for (const auto& [place, given] : found->second)
      if (place.first == container) out.emplace(place.second, given);
  return out;
}

std::vector<DeviceLedger::Holder> DeviceLedger::holders() const {
  std::vector<Holder> out;
  for (const auto& [pod, containers] : given_)
    for (const auto& [place, given] : containers) out.push_back({pod, place.first, place.second, given.ids});
  return out;
}

std::string DeviceLedger::save() const {
  client::JsonWriter json;
  json.object().array("resources");
  for (const auto& [resource, devices] : devices_) json.value(resource);
  json.end().array("given");
  for (const auto& [pod, containers] : given_)
    for (const auto& [place, given] : containers) {
      json.object().field("pod", pod).field("container", place.first).field("resource", place.second).array("ids");
      for (const std::string& id : given.ids) json.value(id);
      json.end().field("answer", base64_encode(protobuf::encode(given.answer))).end();
    }
  json.end().end();
  return json.take();
}

Result<void> DeviceLedger::load(const std::string& text) {
  const json::Document document = TRY(json::Document::parse(text));
  const json::Node *resources = document.root().find("resources"), *all = document.root().find("given");
  if (!resources || !all) return fail(Code::malformed, "\"resources\" and \"given\" are expected");
  for (const json::Node& resource : *resources) devices_[std::string(resource.as_string())];
  for (const json::Node& entry : *all) {
    Given given;
    if (const json::Node* ids = entry.find("ids"))
      for (const json::Node& id : *ids) given.ids.emplace_back(id.as_string());
    const auto answer = base64_decode(entry.string_at("answer"));
    if (!answer || !protobuf::decode(*answer, given.answer) || entry.string_at("pod").empty())
      return fail(Code::malformed, "the devices of pod " + quoted(entry.string_at("pod")) + " cannot be read");
    given_[std::string(entry.string_at("pod"))][{std::string(entry.string_at("container")), std::string(entry.string_at("resource"))}] =
        std::move(given);
  }
  return {};
}

std::map<std::string, size_t> device_wishes(const model::core_v1::Container& container, const DeviceLedger& ledger) {
  std::map<std::string, size_t> out;
  if (!container.resources) return out;
  for (const auto& [resource, amount] : container.resources->limits) {
    if (!ledger.knows(resource)) continue;
    const auto quantity = model::Quantity::parse(amount);
    if (quantity && quantity->to_int64() > 0) out[resource] = size_t(quantity->to_int64());
  }
  return out;
}

}  // namespace estiba::node
