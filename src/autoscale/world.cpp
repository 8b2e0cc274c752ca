#include "autoscale/world.h"

#include <algorithm>

#include "client/tolerations.h"
#include "controllers/node_health.h"
#include "controllers/pod_facts.h"
#include "controllers/pods_by_node.h"

namespace estiba::autoscale {

using model::ObjectRef;
using model::core_v1::Node;
using model::core_v1::Pod;

static constexpr int64_t least_priority = -10;

bool is_ready(const ObjectRef& node) { return controllers::readiness_of(node.as<Node>()) == controllers::Readiness::ready; }

bool is_marked_going(const ObjectRef& node) {
  return std::ranges::any_of(node.as<Node>().spec.taints, [](const auto& taint) { return taint.key == going_taint; });
}

static bool is_unschedulable(const ObjectRef& pod) {
  const auto& typed = pod.as<Pod>();
  if (!typed.spec.nodeName.empty() || !pod.meta().deletion_timestamp.empty() || controllers::is_finished(typed)) return false;
  if (typed.spec.priority.value_or(0) < least_priority) return false;
  const auto* condition = controllers::find_condition(typed, "PodScheduled");
  return condition && condition->status == "False" && condition->reason == "Unschedulable";
}

World::World(client::Client& client, UniqueFunction<void(bool urgent)> changed) : changed_(std::move(changed)), informers_(client) {
  const auto of = [this](client::Resource resource) {
    client::Informer* informer = &informers_.of(resource);
    needed_.push_back(informer);
    return informer;
  };
  pods = of(client::pods);
  nodes = of(client::nodes);
  budgets = of({"policy", "v1", "poddisruptionbudgets"});
  client::Informer* namespaces = of(client::namespaces);
  owners = {.replica_sets = of(client::replica_sets),
            .replication_controllers = of({"", "v1", "replicationcontrollers"}),
            .stateful_sets = of({"apps", "v1", "statefulsets"}),
            .jobs = of(client::jobs),
            .daemon_sets = of({"apps", "v1", "daemonsets"})};
  cluster.listers = {.services = of(client::services),
                     .replication_controllers = owners.replication_controllers,
                     .replica_sets = owners.replica_sets,
                     .stateful_sets = owners.stateful_sets,
                     .claims = of({"", "v1", "persistentvolumeclaims"}),
                     .volumes = of({"", "v1", "persistentvolumes"}),
                     .classes = of({"storage.k8s.io", "v1", "storageclasses"}),
                     .csi_nodes = of({"storage.k8s.io", "v1", "csinodes"}),
                     .csi_drivers = of({"storage.k8s.io", "v1", "csidrivers"}),
                     .capacities = of({"storage.k8s.io", "v1", "csistoragecapacities"}),
                     .attachments = of({"storage.k8s.io", "v1", "volumeattachments"})};
  cluster.devices = &devices_;
  for (client::Informer* informer : devices_.informers()) needed_.push_back(informer);
  pods_by_node = controllers::pods_by_node(*pods);
  pods->on_change([this](const ObjectRef& before, const ObjectRef& after) { pod_changed(before, after); });
  nodes->on_change([this](const ObjectRef& before, const ObjectRef& after) { node_changed(before, after); });
  budgets->on_change([this](const ObjectRef&, const ObjectRef&) { changed_(false); });
  namespaces->on_change([this](const ObjectRef& before, const ObjectRef& after) {
    if (after) cluster.set_namespace(after);
    else cluster.remove_namespace(before.meta().name);
  });
}

Task<void> World::wait_synced() {
  for (client::Informer* informer : needed_) co_await informer->wait_synced();
}

void World::pod_changed(const ObjectRef& before, const ObjectRef& after) {
  if (!after || controllers::is_finished(after.as<Pod>())) {
    cluster.remove_pod((after ? after : before).meta().uid);
    return changed_(false);
  }
  if (!after.as<Pod>().spec.nodeName.empty()) {
    if (cluster.confirm(after)) return;
    cluster.set_pod(after);
    return changed_(false);
  }
  if (is_unschedulable(after) && !(before && is_unschedulable(before))) changed_(true);
}

void World::node_changed(const ObjectRef& before, const ObjectRef& after) {
  if (after) cluster.set_node(after);
  else cluster.remove_node(before.meta().name);
  if (!before || !after || is_ready(before) != is_ready(after)) return changed_(true);
  const Node &a = before.as<Node>(), &b = after.as<Node>();
  const bool same = before.meta().labels == after.meta().labels && before.meta().annotations == after.meta().annotations &&
                    a.status.allocatable == b.status.allocatable && a.spec.unschedulable == b.spec.unschedulable &&
                    client::same_taints(a.spec.taints, b.spec.taints);
  if (!same) changed_(false);
}

std::vector<scheduler::DemandPtr> World::unschedulable() const {
  std::vector<scheduler::DemandPtr> out;
  pods->each(pods_by_node, "", [&](const ObjectRef& pod) {
    if (!is_unschedulable(pod)) return;
    // Room is being made for it.
    const std::string& promised = pod.as<Pod>().status.nominatedNodeName;
    if (promised.empty() || !nodes->get(promised)) out.push_back(scheduler::demand_of(pod));
  });
  return out;
}

}  // namespace estiba::autoscale
