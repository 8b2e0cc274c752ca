#include "scheduler/workload_selector.h"

#include "client/selectors.h"
#include "model/types/apps_v1.h"

namespace estiba::scheduler {

using model::meta_v1::LabelSelector;

static void add(LabelSelector& to, const model::Opt<LabelSelector>& selector) {
  if (!selector) return;
  to.matchLabels.insert(selector->matchLabels.begin(), selector->matchLabels.end());
  to.matchExpressions.insert(to.matchExpressions.end(), selector->matchExpressions.begin(), selector->matchExpressions.end());
}

static void add_controller(const Listers& listers, const model::Owner& owner, const std::string& ns, LabelSelector& to) {
  const auto get = [&](client::Informer* informer) { return informer ? informer->get(ns, owner.name) : model::ObjectRef{}; };
  if (owner.api_version == "apps/v1" && owner.kind == "ReplicaSet") {
    if (const auto set = get(listers.replica_sets)) add(to, set.as<model::apps_v1::ReplicaSet>().spec.selector);
  } else if (owner.api_version == "apps/v1" && owner.kind == "StatefulSet") {
    if (const auto set = get(listers.stateful_sets)) add(to, set.as<model::apps_v1::StatefulSet>().spec.selector);
  } else if (owner.api_version == "v1" && owner.kind == "ReplicationController") {
    if (const auto controller = get(listers.replication_controllers)) {
      const auto& selector = controller.as<model::core_v1::ReplicationController>().spec.selector;
      to.matchLabels.insert(selector.begin(), selector.end());
    }
  }
}

model::LabelSelector workload_selector(const Listers& listers, const Demand& pod) {
  const model::Meta& meta = pod.pod.meta();
  LabelSelector whole;
  if (listers.services) {
    listers.services->each(listers.services->namespace_index(), meta.ns, [&](const model::ObjectRef& service) {
      const auto& selector = service.as<model::core_v1::Service>().spec.selector;
      if (!selector.empty() && client::matches(selector, meta.labels)) whole.matchLabels.insert(selector.begin(), selector.end());
    });
  }
  if (const model::Owner* owner = meta.controller()) add_controller(listers, *owner, meta.ns, whole);
  auto made = model::LabelSelector::from(whole);
  return made ? std::move(*made) : model::LabelSelector();
}

}  // namespace estiba::scheduler
