#include "scheduler/cluster.h"

#include <algorithm>

#include "model/quantity.h"

namespace estiba::scheduler {

NodeState& Cluster::state(std::string_view name) {
  auto& state = states_[std::string(name)];
  if (!state) {
    state = std::make_unique<NodeState>();
    state->name = name;
  }
  return *state;
}

void Cluster::set_node(const model::ObjectRef& node) {
  NodeState& state = this->state(node.meta().name);
  if (!state.node) known_.push_back(&state);
  state.node = node;
  const auto& status = state.typed().status;
  // A node that does not say what may be used of it offers all it has.
  const auto& list = status.allocatable.empty() ? status.capacity : status.allocatable;
  state.allocatable = amounts_of(list);
  auto pods = list.find("pods");
  state.allocatable_pods = pods == list.end() ? 0 : model::quantity_to_int64(pods->second);
}

void Cluster::remove_node(std::string_view name) {
  auto it = states_.find(std::string(name));
  if (it == states_.end()) return;
  std::erase(known_, it->second.get());
  it->second->node = {};
  drop_if_unused(*it->second);
}

void Cluster::drop_if_unused(NodeState& state) {
  if (!state.node && state.pods == 0) states_.erase(std::string(state.name));
}

void Cluster::place(const DemandPtr& demand, std::string_view node) {
  NodeState& state = this->state(node);
  state.used.add(demand->request, 1);
  state.scored_cpu += demand->scored_cpu;
  state.scored_memory += demand->scored_memory;
  ++state.pods;
  state.ports.insert(state.ports.end(), demand->ports.begin(), demand->ports.end());
  placed_[demand->pod.meta().uid] = {demand, &state};
}

void Cluster::remove_pod(std::string_view uid) {
  auto it = placed_.find(std::string(uid));
  if (it == placed_.end()) return;
  const Placed placed = std::move(it->second);
  placed_.erase(it);
  NodeState& state = *placed.node;
  state.used.add(placed.demand->request, -1);
  state.scored_cpu -= placed.demand->scored_cpu;
  state.scored_memory -= placed.demand->scored_memory;
  --state.pods;
  for (const HostPort& port : placed.demand->ports) {
    auto taken = std::find_if(state.ports.begin(), state.ports.end(),
                              [&](const HostPort& p) { return p.port == port.port && p.protocol == port.protocol && p.ip == port.ip; });
    if (taken != state.ports.end()) state.ports.erase(taken);
  }
  drop_if_unused(state);
}

void Cluster::set_pod(const model::ObjectRef& pod) {
  remove_pod(pod.meta().uid);
  place(demand_of(pod), pod.as<model::core_v1::Pod>().spec.nodeName);
}

void Cluster::assume(const DemandPtr& demand, std::string_view node) {
  remove_pod(demand->pod.meta().uid);
  place(demand, node);
}

}  // namespace estiba::scheduler
