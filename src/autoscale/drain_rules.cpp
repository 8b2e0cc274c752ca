#include "autoscale/drain_rules.h"

#include <algorithm>

#include "base/strings.h"
#include "client/selectors.h"
#include "model/types/policy_v1.h"

namespace estiba::autoscale {

using model::ObjectRef;
using model::core_v1::Pod;
using model::policy_v1::PodDisruptionBudget;
using Verdict = Drainability::Verdict;

namespace {

constexpr std::string_view safe_to_evict = "cluster-autoscaler.kubernetes.io/safe-to-evict";
constexpr std::string_view safe_volumes = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes";
constexpr std::string_view static_pod = "kubernetes.io/config.mirror";

// What is kept on the node's disk, and is gone with it.
bool has_local_storage(const ObjectRef& pod) {
  const auto safe = split(pod.meta().annotation(safe_volumes), ',');
  return std::ranges::any_of(pod.as<Pod>().spec.volumes, [&](const auto& volume) {
    const bool local = volume.hostPath || (volume.emptyDir && volume.emptyDir->medium != "Memory");
    return local && std::ranges::find(safe, std::string_view(volume.name)) == safe.end();
  });
}

template <class F>
void each_budget(client::Informer& budgets, client::Informer::Index by_namespace, const ObjectRef& pod, F&& visit) {
  budgets.each(by_namespace, pod.meta().ns, [&](const ObjectRef& object) {
    const auto& budget = object.as<PodDisruptionBudget>();
    if (budget.spec.selector && client::matches(*budget.spec.selector, pod.meta().labels)) visit(object, budget);
  });
}

// Whether whoever controls it will make another: nullopt for a kind that is not known here, which is trusted.
std::optional<bool> is_controlled(const model::Owner& owner, const std::string& ns, const Owners& owners) {
  const std::pair<std::string_view, client::Informer*> kinds[] = {{"ReplicaSet", owners.replica_sets},
                                                                  {"ReplicationController", owners.replication_controllers},
                                                                  {"StatefulSet", owners.stateful_sets},
                                                                  {"Job", owners.jobs}};
  for (const auto& [kind, informer] : kinds)
    if (owner.kind == kind) {
      const ObjectRef there = informer->get(ns, owner.name);
      return there && there.meta().uid == owner.uid;
    }
  return std::nullopt;
}

}  // namespace

bool Budgets::covers(const ObjectRef& pod) const {
  bool found = false;
  each_budget(budgets_, by_namespace_, pod, [&](const ObjectRef&, const auto&) { found = true; });
  return found;
}

bool Budgets::take(const std::vector<ObjectRef>& pods) {
  std::map<std::string, int64_t> left = left_;
  bool enough = true;
  for (const ObjectRef& pod : pods)
    each_budget(budgets_, by_namespace_, pod, [&](const ObjectRef& object, const PodDisruptionBudget& budget) {
      const auto [at, fresh] = left.try_emplace(object.meta().uid, budget.status.disruptionsAllowed.value_or(0));
      enough &= --at->second >= 0;
    });
  if (enough) left_ = std::move(left);
  return enough;
}

Drainability drainability_of(const ObjectRef& pod, const ScaleDown& settings, const Owners& owners, const Budgets& budgets) {
  const model::Meta& meta = pod.meta();
  const auto& typed = pod.as<Pod>();
  if (!meta.annotation(static_pod).empty() || !meta.deletion_timestamp.empty()) return {Verdict::stays_out};
  const model::Owner* owner = meta.controller();
  if (owner && owner->kind == "DaemonSet") return {Verdict::stays_out};
  const std::string_view said = meta.annotation(safe_to_evict);
  if (said == "true") return {Verdict::moves};
  if (typed.status.phase == "Succeeded" || typed.status.phase == "Failed") return {Verdict::stays_out};
  if (!owner) return {Verdict::blocks, "NotReplicated"};
  if (!is_controlled(*owner, meta.ns, owners).value_or(true)) return {Verdict::blocks, "ControllerNotFound"};
  if (settings.skip_system && meta.ns == "kube-system" && !budgets.covers(pod)) return {Verdict::blocks, "UnmovableKubeSystemPod"};
  if (said == "false") return {Verdict::blocks, "NotSafeToEvictAnnotation"};
  if (settings.skip_local_storage && has_local_storage(pod)) return {Verdict::blocks, "LocalStorageRequested"};
  return {Verdict::moves};
}

}  // namespace estiba::autoscale
