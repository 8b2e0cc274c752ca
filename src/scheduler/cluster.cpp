#include "scheduler/cluster.h"

#include <algorithm>

#include "client/claims.h"
#include "client/tolerations.h"
#include "model/quantity.h"

namespace estiba::scheduler {

NodeState& Cluster::state(std::string_view name) {
  auto& state = states_[std::string(name)];
  if (!state) {
    state = std::make_unique<NodeState>();
    state->name = name;
    state->number = free_number();
  }
  return *state;
}

int32_t Cluster::free_number() {
  if (free_numbers_.empty()) return int32_t(states_.size()) - 1;
  const int32_t number = free_numbers_.back();
  free_numbers_.pop_back();
  return number;
}

void Cluster::set_node(const model::ObjectRef& node) {
  NodeState& state = this->state(node.meta().name);
  const bool fresh = !state.node;
  const auto& images = node.as<model::core_v1::Node>().status.images;
  const auto same = [](const auto& a, const auto& b) { return a.names == b.names && a.sizeBytes == b.sizeBytes; };
  if (fresh || !std::ranges::equal(state.typed().status.images, images, same)) set_images(state, images);
  const bool differs = fresh || state.node.meta().labels != node.meta().labels ||
                       !client::same_taints(state.typed().spec.taints, node.as<model::core_v1::Node>().spec.taints);
  if (fresh) known_.push_back(&state);
  else if (differs) tallies_.remove_node(state);
  state.node = node;
  if (differs) {
    tallies_.add_node(state);
    reorder();
  }
  const auto& spec = state.typed().spec;
  const auto has = [&](std::string_view effect) {
    return std::ranges::any_of(spec.taints, [&](const auto& taint) { return taint.effect == effect; });
  };
  state.unschedulable = spec.unschedulable.value_or(false);
  state.keeps_away = has("NoSchedule") || has("NoExecute");
  state.discourages = has("PreferNoSchedule");
  const auto& status = state.typed().status;
  // A node that does not say what may be used of it offers all it has.
  const auto& list = status.allocatable.empty() ? status.capacity : status.allocatable;
  state.allocatable = amounts_of(list);
  auto pods = list.find("pods");
  state.allocatable_pods = pods == list.end() ? 0 : model::quantity_to_int64(pods->second);
  note_change(state);
}

void Cluster::reorder() {
  in_order_ = false;
  ++order_;
}

// So many that several shapes of pods can be tried in turn while thousands of pods are placed.
static constexpr size_t most_changes = 16 * 1024;

void Cluster::note_change(const NodeState& state) {
  if (state.position < 0) return;
  if (changes_.size() == most_changes) {
    changes_.erase(changes_.begin(), changes_.begin() + most_changes / 2);
    changes_forgotten_ += most_changes / 2;
  }
  changes_.push_back(state.position);
}

bool Cluster::each_changed(uint64_t& seen, uint64_t order, const std::function<void(int32_t)>& changed) const {
  const uint64_t from = std::exchange(seen, changes_forgotten_ + changes_.size());
  if (order != order_ || from < changes_forgotten_) return false;
  for (size_t i = size_t(from - changes_forgotten_); i < changes_.size(); ++i) changed(changes_[i]);
  return true;
}

void Cluster::set_images(NodeState& state, const std::vector<model::core_v1::ContainerImage>& images) {
  for (const auto& [name, bytes] : state.images) {
    const auto count = nodes_with_image_.find(name);
    if (--count->second == 0) nodes_with_image_.erase(count);
  }
  state.images.clear();
  for (const auto& image : images)
    for (const std::string& name : image.names)
      if (state.images.emplace(name, image.sizeBytes.value_or(0)).second) ++nodes_with_image_[name];
}

size_t Cluster::nodes_with_image(const std::string& name) const {
  const auto count = nodes_with_image_.find(name);
  return count == nodes_with_image_.end() ? 0 : count->second;
}

void Cluster::remove_node(std::string_view name) {
  auto it = states_.find(std::string(name));
  if (it == states_.end() || !it->second->node) return;
  tallies_.remove_node(*it->second);
  set_images(*it->second, {});
  std::erase(known_, it->second.get());
  it->second->position = -1;
  reorder();
  it->second->node = {};
  drop_if_unused(*it->second);
}

void Cluster::drop_if_unused(NodeState& state) {
  if (state.node || state.pods > 0 || !state.nominated.empty()) return;
  free_numbers_.push_back(state.number);
  states_.erase(std::string(state.name));
}

void NodeState::put_on(const DemandPtr& demand) {
  used.add(demand->request, 1);
  scored_cpu += demand->scored_cpu;
  scored_memory += demand->scored_memory;
  ++pods;
  ports.insert(ports.end(), demand->ports.begin(), demand->ports.end());
  placed.push_back(demand);
}

void NodeState::take_off(const Demand& demand) {
  const std::string& uid = demand.pod.meta().uid;
  const auto there = std::find_if(placed.begin(), placed.end(), [&](const DemandPtr& other) { return other->pod.meta().uid == uid; });
  if (there == placed.end()) return;
  std::swap(*there, placed.back());
  placed.pop_back();
  used.add(demand.request, -1);
  scored_cpu -= demand.scored_cpu;
  scored_memory -= demand.scored_memory;
  --pods;
  for (const HostPort& port : demand.ports) {
    auto taken = std::find_if(ports.begin(), ports.end(),
                              [&](const HostPort& p) { return p.port == port.port && p.protocol == port.protocol && p.ip == port.ip; });
    if (taken != ports.end()) ports.erase(taken);
  }
}

void Cluster::place(const DemandPtr& demand, std::string_view node) {
  drop_nomination(demand->pod.meta().uid);
  NodeState& state = this->state(node);
  state.put_on(demand);
  for (const std::string& claim : demand->claims) ++claim_users_[claim];
  if (state.node) tallies_.add_pod(*demand, state);
  placed_[demand->pod.meta().uid] = {demand, &state};
  note_change(state);
}

void Cluster::remove_pod(std::string_view uid) {
  drop_nomination(uid);
  auto it = placed_.find(std::string(uid));
  if (it == placed_.end()) return;
  const Placed placed = std::move(it->second);
  placed_.erase(it);
  for (const std::string& claim : placed.demand->claims) {
    const auto users = claim_users_.find(claim);
    if (--users->second == 0) claim_users_.erase(users);
  }
  if (placed.node->node) tallies_.remove_pod(*placed.demand, *placed.node);
  placed.node->take_off(*placed.demand);
  note_change(*placed.node);
  drop_if_unused(*placed.node);
}

void Cluster::set_namespace(const model::ObjectRef& ns) {
  model::ObjectRef& known = namespaces_[ns.meta().name];
  const bool differs = !known || known.meta().labels != ns.meta().labels;
  known = ns;
  if (differs) tallies_.namespace_changed();
}

void Cluster::remove_namespace(std::string_view name) {
  if (namespaces_.erase(std::string(name)) > 0) tallies_.namespace_changed();
}

const model::Labels& Cluster::labels_of(std::string_view ns) const {
  static const model::Labels none;
  const auto it = namespaces_.find(std::string(ns));
  return it == namespaces_.end() ? none : it->second.meta().labels;
}

size_t Cluster::users_of_claim(const std::string& claim) const {
  const auto users = claim_users_.find(claim);
  return users == claim_users_.end() ? 0 : users->second;
}

bool Cluster::is_free(const model::ObjectRef& volume, const model::ObjectRef& claim) const {
  const auto reserved = reserved_volumes_.find(volume.meta().name);
  return reserved == reserved_volumes_.end() || reserved->second == claim.meta().uid;
}

std::string Cluster::node_of_claim(const model::ObjectRef& claim) const {
  const auto provision = provisions_.find(claim.meta().uid);
  return provision != provisions_.end() ? provision->second : std::string(claim.meta().annotation(client::selected_node));
}

static std::string zone_of(const NodeState& node) {
  const model::Meta& meta = node.node.meta();
  return std::string(meta.label("topology.kubernetes.io/region")) + "\n" + std::string(meta.label("topology.kubernetes.io/zone"));
}

const std::vector<NodeState*>& Cluster::nodes() const {
  if (in_order_) return known_;
  in_order_ = true;
  std::map<std::string, std::vector<NodeState*>> zones;
  for (NodeState* node : known_) zones[zone_of(*node)].push_back(node);
  const size_t all = known_.size();
  known_.clear();
  for (size_t turn = 0; known_.size() < all; ++turn)
    for (const auto& [zone, members] : zones)
      if (turn < members.size()) {
        members[turn]->position = int32_t(known_.size());
        known_.push_back(members[turn]);
      }
  return known_;
}

NodeState* Cluster::find(std::string_view name) const {
  const auto it = states_.find(std::string(name));
  return it == states_.end() || !it->second->node ? nullptr : it->second.get();
}

void Cluster::nominate(const DemandPtr& demand, std::string_view node) {
  const std::string& uid = demand->pod.meta().uid;
  drop_nomination(uid);
  NodeState& state = this->state(node);
  state.nominated.push_back(demand);
  note_change(state);
  nominated_[uid] = &state;
}

void Cluster::drop_nomination(std::string_view uid) {
  const auto it = nominated_.find(std::string(uid));
  if (it == nominated_.end()) return;
  NodeState& state = *it->second;
  nominated_.erase(it);
  std::erase_if(state.nominated, [&](const DemandPtr& demand) { return demand->pod.meta().uid == uid; });
  note_change(state);
  drop_if_unused(state);
}

bool Cluster::set_pod(const model::ObjectRef& pod) {
  const auto known = placed_.find(pod.meta().uid);
  const DemandPtr before = known == placed_.end() ? nullptr : known->second.demand;
  remove_pod(pod.meta().uid);
  const DemandPtr now = demand_of(pod);
  place(now, pod.as<model::core_v1::Pod>().spec.nodeName);
  return before && now->asks_less_than(*before);
}

// What a placed pod asks for changes with its spec and as a resize goes on; what it is to others, with its labels and its end. Being bound
// is no such change.
static bool counts_the_same(const model::Meta& a, const model::Meta& b) {
  return a.generation == b.generation && a.labels == b.labels && a.deletion_timestamp.empty() == b.deletion_timestamp.empty();
}

bool Cluster::confirm(const model::ObjectRef& pod) {
  const auto it = placed_.find(pod.meta().uid);
  if (it == placed_.end()) return false;
  const auto& [demand, node] = it->second;
  const auto& typed = pod.as<model::core_v1::Pod>();
  if (node->name != typed.spec.nodeName || !counts_the_same(demand->pod.meta(), pod.meta()) || !demand->same_amounts(pod)) return false;
  // Victims are compared by when they started.
  const bool started = demand->typed().status.startTime != typed.status.startTime;
  demand->pod = pod;
  if (started) note_change(*node);
  return true;
}

void Cluster::hold_node(const model::ObjectRef& node) {
  NodeState* state = find(node.meta().name);
  if (state && state->node && state->node.revision == node.revision) state->node = node;
}

void Cluster::hold_pod(const model::ObjectRef& pod) {
  const auto it = placed_.find(pod.meta().uid);
  if (it != placed_.end() && it->second.demand->pod.revision == pod.revision) it->second.demand->pod = pod;
}

void Cluster::assume(const DemandPtr& demand, std::string_view node) {
  remove_pod(demand->pod.meta().uid);
  place(demand, node);
}

}  // namespace estiba::scheduler
