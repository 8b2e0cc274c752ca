#include "controllers/device_evictions.h"

#include <algorithm>

#include "controllers/pod_facts.h"

namespace estiba::controllers {

using client::DeviceTaint;
using client::DeviceTaintRule;
using client::DeviceToleration;
using json::Node;

namespace {

constexpr std::string_view evicts = "NoExecute";
constexpr int64_t longest_toleration = 100LL * 365 * 24 * 3600;  // the times of WallTime end in the year 2262

std::string text(const Node& node, std::string_view key) { return std::string(node.string_at(key)); }

/// When the taint drives out who tolerates it so; nullopt: never.
std::optional<WallTime> drives_out_at(const DeviceTaint& taint, const std::vector<DeviceToleration>& tolerations) {
  std::optional<int64_t> seconds;
  for (const DeviceToleration& one : tolerations) {
    if (one.effect != evicts || !one.tolerates(taint)) continue;
    if (!one.seconds) return std::nullopt;
    const int64_t given = std::clamp<int64_t>(*one.seconds, 0, longest_toleration);
    seconds = std::min(seconds.value_or(given), given);
  }
  return time_or_epoch(taint.added) + std::chrono::seconds(seconds.value_or(0));
}

}  // namespace

std::optional<SliceTaints> SliceTaints::read(const model::ObjectRef& slice) {
  const auto document = json::Document::parse(slice.object->json());
  const Node* spec = document ? document->root().find("spec") : nullptr;
  if (!spec) return std::nullopt;
  SliceTaints out{.driver = text(*spec, "driver"), .pool = std::string(spec->string_at("pool", "name"))};
  if (const Node* generation = spec->at("pool", "generation")) out.generation = generation->as_int().value_or(0);
  const Node* devices = spec->find("devices");
  if (!devices) return out;
  for (const Node& device : *devices) {
    out.devices.push_back(text(device, "name"));
    for (DeviceTaint& taint : client::read_device_taints(device))
      if (taint.effect == evicts) out.taints[out.devices.back()].push_back(std::move(taint));
  }
  return out;
}

std::set<DeviceName> TaintedDevices::set(const std::string& slice, const model::ObjectRef& object) {
  std::set<PoolName> touched;
  if (const auto known = pool_of_.find(slice); known != pool_of_.end()) {
    pools_[known->second].slices.erase(slice);
    touched.insert(known->second);
    pool_of_.erase(known);
  }
  auto read = object ? SliceTaints::read(object) : std::nullopt;
  if (read) {
    read->devices.clear();
    PoolName pool{read->driver, read->pool};
    pools_[pool].slices.insert_or_assign(slice, std::move(*read));
    touched.insert(pool);
    pool_of_[slice] = std::move(pool);
  }
  std::set<DeviceName> changed;
  for (const PoolName& pool : touched) renew(pool, changed);
  return changed;
}

// What the pool's newest generation says, in place of what is known.
void TaintedDevices::renew(const PoolName& name, std::set<DeviceName>& changed) {
  const auto pool = pools_.find(name);
  int64_t newest = INT64_MIN;
  for (const auto& [_, slice] : pool->second.slices) newest = std::max(newest, slice.generation);
  std::map<DeviceName, std::vector<DeviceTaint>> now;
  for (const auto& [_, slice] : pool->second.slices)
    if (slice.generation == newest)
      for (const auto& [device, taints] : slice.taints) now.try_emplace({name.first, name.second, device}, taints);
  auto from = tainted_.lower_bound({name.first, name.second, ""});
  while (from != tainted_.end() && from->first.driver == name.first && from->first.pool == name.second) {
    if (!now.contains(from->first)) changed.insert(from->first);
    from = now.contains(from->first) ? std::next(from) : tainted_.erase(from);
  }
  for (auto& [device, taints] : now) {
    std::vector<DeviceTaint>& known = tainted_[device];
    if (known == taints) continue;
    changed.insert(device);
    known = std::move(taints);
  }
  if (pool->second.slices.empty()) pools_.erase(pool);
}

const std::vector<DeviceTaint>* TaintedDevices::find(const DeviceName& device) const {
  const auto found = tainted_.find(device);
  return found == tainted_.end() ? nullptr : &found->second;
}

std::optional<AllocatedClaim> AllocatedClaim::read(const model::ObjectRef& claim) {
  const auto document = json::Document::parse(claim.object->json());
  const Node* status = document ? document->root().find("status") : nullptr;
  const Node* allocation = status ? status->find("allocation") : nullptr;
  if (!allocation || !allocation->is_object()) return std::nullopt;
  AllocatedClaim out;
  if (const Node* results = allocation->at("devices", "results"))
    for (const Node& result : *results)
      out.results.push_back(
          {{text(result, "driver"), text(result, "pool"), text(result, "device")}, client::read_device_tolerations(result)});
  if (const Node* consumers = status->find("reservedFor"))
    for (const Node& each : *consumers) {
      if (each.string_at("resource") != "pods" || !each.string_at("apiGroup").empty()) continue;
      out.pods.push_back(text(each, "name"));
      out.pod_uids.push_back(text(each, "uid"));
    }
  return out;
}

void DeviceEviction::join(const DeviceEviction& other) {
  at = std::min(at, other.at);
  rules.insert(other.rules.begin(), other.rules.end());
}

bool selects(const DeviceTaintRule& rule, const DeviceName& device) {
  return rule.has_selector && rule.selects(device.driver, device.pool, device.device);
}

std::optional<DeviceEviction> eviction_of(const AllocatedClaim& claim, const TaintedDevices& tainted, const EvictingRules& rules) {
  std::optional<DeviceEviction> out;
  const auto add = [&](const DeviceTaint& taint, const AllocatedClaim::Result& result, std::set<std::string> rule) {
    const auto at = drives_out_at(taint, result.tolerations);
    if (!at) return;
    if (!out) out = {*at, std::move(rule)};
    else out->join({*at, std::move(rule)});
  };
  for (const AllocatedClaim::Result& result : claim.results) {
    if (const auto* taints = tainted.find(result.device))
      for (const DeviceTaint& taint : *taints) add(taint, result, {});
    for (const auto& [_, rule] : rules)
      if (selects(rule, result.device)) add(rule.taint, result, {rule.uid});
  }
  return out;
}

}  // namespace estiba::controllers
