#include "autoscale/simulation.h"

#include <algorithm>

#include "client/json_writer.h"
#include "controllers/daemon_placement.h"
#include "model/node_features.h"

namespace estiba::autoscale {

using scheduler::Cycle;
using scheduler::DemandPtr;
using scheduler::NodeState;
using scheduler::Profile;
using scheduler::Verdict;

model::ObjectRef template_node(const NodeGroup& group, const std::string& name) {
  client::JsonWriter json;
  json.object().field("apiVersion", "v1").field("kind", "Node").object("metadata").field("name", name).object("labels");
  auto labels = group.node.labels;
  labels["kubernetes.io/hostname"] = name;
  labels.try_emplace("kubernetes.io/os", "linux");
#if defined(__aarch64__)
  labels.try_emplace("kubernetes.io/arch", "arm64");
#else
  labels.try_emplace("kubernetes.io/arch", "amd64");
#endif
  for (const auto& [key, value] : labels) json.field(key, value);
  json.end().end().object("spec").array("taints");
  for (const auto& taint : group.node.taints)
    json.object().field("key", taint.key).optional("value", taint.value).field("effect", taint.effect).end();
  json.end().end().object("status");
  for (const char* list : {"capacity", "allocatable"}) {
    json.object(list);
    for (const auto& [resource, amount] : group.node.allocatable) json.field(resource, amount);
    json.end();
  }
  json.array("declaredFeatures");
  for (const std::string& feature : model::node_features::declared_here()) json.value(feature);
  json.end().end().end();
  auto made = model::Object::parse(json.take());
  return made ? model::ObjectRef{std::move(*made), 0} : model::ObjectRef{};
}

Simulation::Simulation(scheduler::Cluster& cluster, const scheduler::Configuration& configuration)
    : cluster_(cluster), profiles_(configuration.profiles) {
  for (Profile& profile : profiles_) std::erase_if(profile.filters, [](const auto& filter) { return filter.name == "NodeName"; });
}

const Profile* Simulation::profile_of(const scheduler::Demand& pod) const {
  const std::string& given = pod.typed().spec.schedulerName;
  const std::string& name = given.empty() ? scheduler::default_profile().name : given;
  const auto found = std::ranges::find(profiles_, name, &Profile::name);
  return found == profiles_.end() ? nullptr : &*found;
}

// As the DaemonSet's controller would make it; null when none belongs on the node.
static DemandPtr daemon_on(const model::ObjectRef& set, const model::ObjectRef& node) {
  if (!controllers::placement_on(set, node).should_run) return nullptr;
  const auto body = controllers::daemon_pod_body(set, "", node.meta().name);
  if (!body) return nullptr;
  auto document = json::Document::parse(*body);
  if (!document) return nullptr;
  json::Node& metadata = document->ensure_object(document->root(), "metadata");
  document->set(metadata, "uid", set.meta().uid + "/" + node.meta().name);
  document->set(metadata, "namespace", set.meta().ns);
  auto pod = model::Object::make(document->root());
  return pod ? scheduler::demand_of({std::move(*pod), 0}) : nullptr;
}

void Simulation::add_node(const model::ObjectRef& node, const std::vector<model::ObjectRef>& daemon_sets) {
  cluster_.set_node(node);
  steps_.push_back({Step::Kind::node_came, node.meta().name});
  for (const model::ObjectRef& set : daemon_sets)
    if (const DemandPtr pod = daemon_on(set, node)) put_pod(pod, node.meta().name);
}

void Simulation::take_node(std::string_view name) {
  const NodeState* state = cluster_.find(name);
  for (const DemandPtr& pod : std::vector(state->placed)) take_pod(pod, name);
  steps_.push_back({Step::Kind::node_went, std::string(name), state->node});
  cluster_.remove_node(name);
}

void Simulation::take_pod(const DemandPtr& pod, std::string_view node) {
  cluster_.remove_pod(pod->pod.meta().uid);
  steps_.push_back({Step::Kind::pod_went, std::string(node), {}, pod});
}

void Simulation::put_pod(const DemandPtr& pod, std::string_view node) {
  cluster_.assume(pod, node);
  steps_.push_back({Step::Kind::pod_came, std::string(node), {}, pod});
}

const NodeState* Simulation::place(const DemandPtr& pod) {
  const Profile* profile = profile_of(*pod);
  if (!profile) return nullptr;
  const Cycle cycle(*profile, cluster_, *pod);
  const scheduler::Decision decision = scheduler::decide(cycle, turn_++);
  if (decision.node) put_pod(pod, decision.node->name);
  return decision.node;
}

const NodeState* Simulation::place_on(const DemandPtr& pod, const std::vector<std::string>& nodes, std::string* why) {
  const Profile* profile = profile_of(*pod);
  if (!profile) {
    if (why) *why = "the pod is for another scheduler";
    return nullptr;
  }
  const Cycle cycle(*profile, cluster_, *pod);
  if (!cycle.refusal().empty()) {
    if (why) *why = cycle.refusal();
    return nullptr;
  }
  for (const std::string& name : nodes) {
    const NodeState* node = cluster_.find(name);
    const auto& only = cycle.only();
    if (only && std::ranges::find(*only, name) == only->end()) {
      if (why) *why = "node(s) didn't satisfy plugin(s) [" + std::string(cycle.only_by()) + "]";
      continue;
    }
    scheduler::Reasons reasons;
    if (cycle.check(*node, why && &name == &nodes.back() ? &reasons : nullptr) == Verdict::fits) {
      put_pod(pod, name);
      return node;
    }
    // "1 Insufficient cpu": of one node, so that the number says nothing.
    if (why) *why = reasons.print();
    if (why && why->starts_with("1 ")) why->erase(0, 2);
  }
  return nullptr;
}

void Simulation::undo_to(size_t mark) {
  for (; steps_.size() > mark; steps_.pop_back()) {
    const Step& step = steps_.back();
    switch (step.kind) {
      case Step::Kind::node_came: cluster_.remove_node(step.node_name); break;
      case Step::Kind::node_went: cluster_.set_node(step.node); break;
      case Step::Kind::pod_came: cluster_.remove_pod(step.pod->pod.meta().uid); break;
      case Step::Kind::pod_went: cluster_.assume(step.pod, step.node_name); break;
    }
  }
}

}  // namespace estiba::autoscale
