#include "scheduler/devices/slices.h"

#include <algorithm>
#include <set>

#include "client/node_selectors.h"
#include "model/codec.h"

namespace estiba::scheduler::devices {

using json::Node;

namespace {

Quantity quantity(std::string_view text) { return Quantity::parse(text).value_or(Quantity()); }

std::optional<Quantity> quantity_at(const Node& holder, std::string_view key) {
  const Node* node = holder.find(key);
  return node && node->is_string() ? std::optional(quantity(node->as_string())) : std::nullopt;
}

template <class F>
void each(const Node& holder, std::string_view key, F&& visit) {
  if (const Node* list = holder.find(key))
    for (const Node& item : *list) visit(item);
}

bool flag(const Node& holder, std::string_view key) {
  const Node* node = holder.find(key);
  return node && node->as_bool();
}

Reach read_reach(const Node& holder) {
  Reach out{.node = std::string(holder.string_at("nodeName")), .all = flag(holder, "allNodes"), .selector = {}};
  if (const Node* selector = holder.find("nodeSelector"); selector && selector->is_object())
    if (auto read = model::decode<model::core_v1::NodeSelector>(*selector)) out.selector = std::move(*read);
  return out;
}

Capacity read_capacity(const Node& node) {
  Capacity out{quantity(node.string_at("value")), {}};
  const Node* given = node.find("requestPolicy");
  if (!given || !given->is_object()) return out;
  CapacityPolicy& policy = out.policy.emplace();
  policy.usual = quantity_at(*given, "default");
  each(*given, "validValues", [&](const Node& value) { policy.values.push_back(quantity(value.as_string())); });
  if (const Node* range = given->find("validRange"); range && range->is_object()) {
    policy.has_range = true;
    policy.least = quantity_at(*range, "min");
    policy.most = quantity_at(*range, "max");
    policy.step = quantity_at(*range, "step");
  }
  return out;
}

Amounts read_counters(const Node& holder) {
  Amounts out;
  each(holder, "counters", [&](const Node& counter) { out[std::string(counter.key())] = quantity(counter.string_at("value")); });
  return out;
}

Device read_device(const Slice& slice, const Node& node) {
  Device out{.name = std::string(node.string_at("name")), .text = &node};
  out.id = slice.pool_id + "/" + out.name;
  each(node, "capacity", [&](const Node& capacity) { out.capacity.emplace(capacity.key(), read_capacity(capacity)); });
  out.taints = client::read_device_taints(node);
  each(node, "consumesCounters",
       [&](const Node& use) { out.uses.push_back({std::string(use.string_at("counterSet")), read_counters(use)}); });
  each(node, "bindingConditions", [&](const Node& condition) { out.binding_conditions.emplace_back(condition.as_string()); });
  each(node, "bindingFailureConditions",
       [&](const Node& condition) { out.binding_failure_conditions.emplace_back(condition.as_string()); });
  out.reach = read_reach(node);
  out.binds_to_node = flag(node, "bindsToNode");
  out.allows_multiple = flag(node, "allowMultipleAllocations");
  return out;
}

bool relevant(const Slice& slice, const NodeState& node) {
  // Counters are everybody's who has devices of the pool.
  if (!slice.counters.empty()) return true;
  if (slice.reach.is_given()) return slice.reach.includes(node);
  return slice.each_device && std::ranges::any_of(slice.devices, [&](const Device& device) { return device.reach.includes(node); });
}

bool same_slices(const std::vector<SlicePtr>& slices, bool (*wrong)(const Pool&, const Device&), const Pool& pool) {
  for (const SlicePtr& slice : slices)
    for (const Device& device : slice->devices)
      if (wrong(pool, device)) return false;
  return true;
}

bool uses_unknown_counters(const Pool& pool, const Device& device) {
  return std::ranges::any_of(device.uses, [&](const CounterUse& use) {
    const auto set = pool.counters.find(use.set);
    return set == pool.counters.end() ||
           std::ranges::any_of(use.counters, [&](const auto& counter) { return !set->second.contains(counter.first); });
  });
}

bool has_binding_conditions(const Pool& pool) {
  return std::ranges::any_of(pool.here, [](const SlicePtr& slice) {
    return std::ranges::any_of(slice->devices, [](const Device& device) { return !device.binding_conditions.empty(); });
  });
}

void drop(std::vector<SlicePtr>& from, std::string_view name) {
  std::erase_if(from, [&](const SlicePtr& slice) { return slice->name == name; });
}

}  // namespace

bool Reach::includes(const NodeState& state) const {
  if (!node.empty()) return state.name == node;
  if (all) return true;
  return selector && state.node &&
         std::ranges::any_of(selector->nodeSelectorTerms, [&](const auto& term) { return client::matches(term, state.node.meta()); });
}

const Node* Device::attribute(std::string_view driver, std::string_view name) const {
  const Node* attributes = text->find("attributes");
  if (!attributes) return nullptr;
  if (const Node* whole = attributes->find(name)) return whole;
  const size_t slash = name.find('/');
  return slash != std::string_view::npos && name.substr(0, slash) == driver ? attributes->find(name.substr(slash + 1)) : nullptr;
}

SlicePtr read_slice(const model::ObjectRef& object) {
  auto document = json::Document::parse(object.object->json());
  if (!document) return nullptr;
  auto slice = std::make_shared<Slice>(Slice{.name = object.meta().name, .document = std::move(*document)});
  const Node* spec = slice->document.root().find("spec");
  if (!spec) return nullptr;
  slice->driver = spec->string_at("driver");
  if (const Node* pool = spec->find("pool")) {
    slice->pool = pool->string_at("name");
    const Node *generation = pool->find("generation"), *count = pool->find("resourceSliceCount");
    slice->generation = generation ? generation->as_int().value_or(0) : 0;
    slice->pool_id = slice->driver + "/" + slice->pool;
    slice->slices = count ? count->as_int().value_or(0) : 0;
  }
  slice->reach = read_reach(*spec);
  slice->each_device = flag(*spec, "perDeviceNodeSelection");
  each(*spec, "sharedCounters", [&](const Node& set) { slice->counters[std::string(set.string_at("name"))] = read_counters(set); });
  each(*spec, "devices", [&](const Node& device) { slice->devices.push_back(read_device(*slice, device)); });
  return slice;
}

void Inventory::set(const model::ObjectRef& object) {
  remove(object.meta().name);
  const SlicePtr slice = read_slice(object);
  if (!slice) return;
  slices_[slice->name] = slice;
  pools_[slice->pool_id].push_back(slice);
  if (slice->reach.node.empty() || !slice->counters.empty()) shared_.push_back(slice);
  else local_[slice->reach.node].push_back(slice);
}

void Inventory::remove(std::string_view name) {
  const auto found = slices_.find(name);
  if (found == slices_.end()) return;
  const SlicePtr slice = found->second;
  slices_.erase(found);
  drop(shared_, name);
  if (const auto local = local_.find(slice->reach.node); local != local_.end()) {
    drop(local->second, name);
    if (local->second.empty()) local_.erase(local);
  }
  const auto pool = pools_.find(slice->pool_id);
  drop(pool->second, name);
  if (pool->second.empty()) pools_.erase(pool);
}

// `relevant` are the slices of the newest generation that the node sees, which may not be all, nor the newest of all. Nothing when another
// generation has replaced it.
std::optional<Pool> Inventory::build(const std::vector<SlicePtr>& relevant) const {
  Pool pool{.driver = relevant[0]->driver, .name = relevant[0]->pool, .id = relevant[0]->pool_id};
  const int64_t generation = relevant[0]->generation;
  std::vector<SlicePtr> rest;
  size_t count = relevant.size();
  if (int64_t(count) != relevant[0]->slices) {
    for (const SlicePtr& slice : pools_.at(pool.id)) {
      if (slice->generation > generation) return std::nullopt;
      if (slice->generation < generation || std::ranges::contains(relevant, slice)) continue;
      ++count;
      rest.push_back(slice);
    }
    pool.incomplete = int64_t(count) != relevant[0]->slices;
    if (pool.incomplete) return pool;
  }
  std::set<std::string_view> names;
  for (const SlicePtr& slice : relevant) {
    for (const auto& [name, counters] : slice->counters) pool.invalid |= !pool.counters.emplace(name, counters).second;
    if (!slice->counters.empty()) continue;
    for (const Device& device : slice->devices) pool.invalid |= !names.insert(device.name).second;
    pool.here.push_back(slice);
  }
  pool.elsewhere = std::move(rest);
  pool.invalid |= !same_slices(pool.here, uses_unknown_counters, pool) || !same_slices(pool.elsewhere, uses_unknown_counters, pool);
  std::ranges::sort(pool.here, {}, [](const SlicePtr& slice) -> std::string_view { return slice->name; });
  return pool;
}

std::vector<Pool> Inventory::pools_at(const NodeState& node) const {
  std::map<std::string, std::vector<SlicePtr>> found;
  const auto look_at = [&](const SlicePtr& slice) {
    if (!relevant(*slice, node)) return;
    auto& slices = found[slice->pool_id];
    if (!slices.empty() && slice->generation < slices[0]->generation) return;
    if (!slices.empty() && slice->generation > slices[0]->generation) slices.clear();
    slices.push_back(slice);
  };
  if (const auto local = local_.find(node.name); local != local_.end())
    for (const SlicePtr& slice : local->second) look_at(slice);
  for (const SlicePtr& slice : shared_) look_at(slice);
  std::vector<Pool> out;
  for (const auto& [id, slices] : found)
    if (auto pool = build(slices)) out.push_back(std::move(*pool));
  std::ranges::sort(out, [](const Pool& a, const Pool& b) { return std::tie(a.driver, a.name) < std::tie(b.driver, b.name); });
  std::ranges::stable_partition(out, [](const Pool& pool) { return !has_binding_conditions(pool); });
  return out;
}

}  // namespace estiba::scheduler::devices
