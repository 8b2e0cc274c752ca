// DaemonSet: one pod on each node that its template fits, replaced node by node when the template changes.
#include <algorithm>
#include <unordered_map>

#include "client/selectors.h"
#include "client/tolerations.h"
#include "controllers/daemon_plan.h"
#include "controllers/framework.h"
#include "controllers/owned.h"
#include "controllers/pod_control.h"
#include "controllers/pod_facts.h"
#include "controllers/revision_history.h"
#include "controllers/table.h"
#include "model/types/apps_v1.h"

namespace estiba::controllers {

using client::EventType;
using model::ObjectRef;
using model::apps_v1::DaemonSet;
using model::core_v1::Node;
using model::core_v1::Pod;

namespace {

constexpr client::Resource daemon_sets{"apps", "v1", "daemonsets"};
constexpr size_t burst = 250;  // pods made or deleted in one run
constexpr Duration first_pause = std::chrono::seconds(1), longest_pause = std::chrono::minutes(15);

/// Failed pods of one node are replaced after a growing pause.
struct Pause {
  Duration length{};
  Instant since{};
};

/// What of a node decides about daemons; its heartbeats do not.
bool same_for_daemons(const ObjectRef& a, const ObjectRef& b) {
  return a.meta().labels == b.meta().labels && client::same_taints(a.as<Node>().spec.taints, b.as<Node>().spec.taints);
}

class DaemonSetController final : public Controller {
 public:
  explicit DaemonSetController(Context& context)
      : Controller(context, "daemonset-controller", {.workers = 8}),
        sets_(watch(daemon_sets)),
        pods_(informer(client::pods)),
        nodes_(informer(client::nodes)),
        control_(client_, pods_, events_),
        history_(client_, informer(controller_revisions), revision_hash_label),
        pod_index_(controller_index(pods_)),
        by_namespace_(sets_.namespace_index()) {
    pods_.on_change([this](const ObjectRef& before, const ObjectRef& after) {
      enqueue_owners(before, after, "DaemonSet", sets_, by_namespace_,
                     [&](const ObjectRef& set) { return client::matches(set.as<DaemonSet>().spec.selector, after.meta().labels); });
    });
    nodes_.on_change([this](const ObjectRef& before, const ObjectRef& after) { node_changed(before, after); });
    sets_.on_change([this](const ObjectRef& before, const ObjectRef& after) {
      if (!after) std::erase_if(pauses_, [&](const auto& entry) { return entry.first.starts_with(before.meta().uid); });
    });
  }

 private:
  void node_changed(const ObjectRef& before, const ObjectRef& after) {
    if (before && after && same_for_daemons(before, after)) return;
    sets_.each([&](const ObjectRef& set) {
      const Placement was = before ? placement_on(set, before) : Placement{}, is = after ? placement_on(set, after) : Placement{};
      if (!after || was != is) enqueue(set);
    });
  }

  Task<Result<void>> reconcile(std::string key) override {
    const ObjectRef set = sets_.get(key);
    if (!set || !set.meta().deletion_timestamp.empty()) co_return {};
    const DaemonSet& typed = set.as<DaemonSet>();
    if (typed.spec.selector.matchLabels.empty() && typed.spec.selector.matchExpressions.empty()) {
      events_.record(set, EventType::warning, "SelectingAll", "This daemon set is selecting all pods. A non-empty selector is required.");
      co_return {};
    }
    std::vector<ObjectRef> revisions = CO_TRY(co_await history_.list(set, typed.spec.selector));
    int64_t collisions = typed.status.collisionCount.value_or(0);
    const ObjectRef present = CO_TRY(co_await history_.present(set, revisions, collisions));
    const std::string hash(present.meta().label(revision_hash_label));
    CO_TRY(co_await claim(client_, pods_, pod_index_, set, typed.spec.selector));

    Result<void> done = co_await keep_present(set, hash);
    if (done && typed.spec.updateStrategy && typed.spec.updateStrategy->type == "RollingUpdate") done = co_await roll(set, hash);
    if (done) done = co_await forget_history(set, revisions, present);
    // The status tells of what went wrong, too.
    CO_TRY(co_await write_status(set, hash, collisions));
    co_return done;
  }

  /// All nodes, and the pods as the cache holds them now, after our own writes.
  DaemonNodes look(const ObjectRef& set, const std::string& hash) const {
    const int64_t min_ready = set.as<DaemonSet>().spec.minReadySeconds.value_or(0);
    DaemonNodes nodes;
    nodes_.each([&](const ObjectRef& node) { nodes[node.meta().name] = {.exists = true, .placement = placement_on(set, node)}; });
    pods_.each(pod_index_, set.meta().uid, [&](const ObjectRef& pod) {
      if (!client::matches(set.as<DaemonSet>().spec.selector, pod.meta().labels)) return;
      const Pod& typed = pod.as<Pod>();
      const bool going = !pod.meta().deletion_timestamp.empty() || control_.is_deleting(pod);
      const std::string node = target_node(pod);
      if (node.empty() || (going && is_finished(typed))) return;
      const auto at = available_at(typed, min_ready);
      nodes[node].pods.push_back({.pod = pod,
                                  .going = going,
                                  .updated = is_of_revision(set, pod, hash),
                                  .ready = at.has_value(),
                                  .available = at && *at <= wall_now()});
    });
    const auto rank = [](const DaemonPod& one) {
      const model::Meta& meta = one.pod.meta();
      return std::tuple<bool, std::string_view, std::string_view>(one.pod.as<Pod>().spec.nodeName.empty(), meta.creation_timestamp,
                                                                  meta.name);
    };
    for (auto& [name, node] : nodes)
      std::sort(node.pods.begin(), node.pods.end(), [&](const DaemonPod& a, const DaemonPod& b) { return rank(a) < rank(b); });
    return nodes;
  }

  Task<Result<void>> keep_present(ObjectRef set, std::string hash) {
    const DaemonBounds bounds = CO_TRY(daemon_bounds(set, 1));
    DaemonPlan plan = plan_presence(look(set, hash), bounds.surge > 0);
    for (const ObjectRef& pod : plan.failed) {
      if (!may_replace(set, pod)) continue;
      events_.record(
          set, EventType::warning, "FailedDaemonPod",
          "Found failed daemon pod " + client::key_of(pod) + " on node " + pod.as<Pod>().spec.nodeName + ", will try to kill it");
      plan.remove.push_back(pod);
    }
    for (const ObjectRef& pod : plan.succeeded)
      events_.record(
          set, EventType::normal, "SucceededDaemonPod",
          "Found succeeded daemon pod " + client::key_of(pod) + " on node " + pod.as<Pod>().spec.nodeName + ", will try to delete it");
    co_return co_await carry_out(set, hash, std::move(plan));
  }

  bool may_replace(const ObjectRef& set, const ObjectRef& pod) {
    const Instant now = context_.executor.now();
    std::erase_if(pauses_, [&](const auto& entry) { return now - entry.second.since > 2 * longest_pause; });
    const std::string key = set.meta().uid + "/" + std::to_string(set.meta().generation) + "/" + target_node(pod);
    Pause& pause = pauses_[key];
    if (now - pause.since < pause.length) {
      enqueue_after(client::key_of(set), pause.length - (now - pause.since));
      return false;
    }
    pause.length = pause.length == Duration{} ? first_pause : std::min(longest_pause, 2 * pause.length);
    pause.since = now;
    return true;
  }

  Task<Result<void>> roll(ObjectRef set, std::string hash) {
    const DaemonNodes nodes = look(set, hash);
    const auto wanted = std::count_if(nodes.begin(), nodes.end(), [](const auto& entry) { return entry.second.placement.should_run; });
    const DaemonBounds bounds = CO_TRY(daemon_bounds(set, wanted));
    co_return co_await carry_out(set, hash, plan_update(nodes, bounds));
  }

  Task<Result<void>> carry_out(ObjectRef set, std::string hash, DaemonPlan plan) {
    if (plan.create.size() > burst) plan.create.resize(burst);
    if (plan.remove.size() > burst) plan.remove.resize(burst);
    std::vector<std::string> bodies;
    for (const std::string& node : plan.create) bodies.push_back(CO_TRY(daemon_pod_body(set, hash, node)));
    const size_t count = bodies.size();
    Result<void> made = co_await control_.create(set, count, [bodies = std::move(bodies)](size_t i) { return bodies[i]; });
    Result<void> removed = co_await control_.remove(set, std::move(plan.remove));
    co_return made ? removed : made;
  }

  Task<Result<void>> write_status(ObjectRef set, std::string hash, int64_t collisions) {
    const DaemonNodes nodes = look(set, hash);
    const DaemonCounts counts = count_daemons(nodes);
    if (counts.ready != counts.available) wake_when_available(set, nodes);
    const std::optional<std::string> patch = daemon_status_patch(set, counts, collisions);
    if (!patch) co_return {};
    co_return co_await patch_status(sets_, set, *patch);
  }

  void wake_when_available(const ObjectRef& set, const DaemonNodes& nodes) {
    for (const auto& [name, node] : nodes)
      for (const DaemonPod& pod : node.pods)
        if (const auto at = available_at(pod.pod.as<Pod>(), set.as<DaemonSet>().spec.minReadySeconds.value_or(0)); at && *at > wall_now())
          enqueue_after(client::key_of(set), *at - wall_now());
  }

  /// Deletes old revisions beyond spec.revisionHistoryLimit that no pod is of, the oldest first.
  Task<Result<void>> forget_history(ObjectRef set, std::vector<ObjectRef> revisions, ObjectRef present) {
    const int64_t limit = set.as<DaemonSet>().spec.revisionHistoryLimit.value_or(10);
    std::erase_if(revisions, [&](const ObjectRef& revision) { return revision.meta().name == present.meta().name; });
    const int64_t surplus = int64_t(revisions.size()) - limit;
    if (surplus <= 0) co_return {};
    std::erase_if(revisions, [&](const ObjectRef& revision) {
      bool live = false;
      pods_.each(pod_index_, set.meta().uid, [&](const ObjectRef& pod) {
        live |= pod.meta().label(revision_hash_label) == revision.meta().label(revision_hash_label);
      });
      return live;
    });
    if (int64_t(revisions.size()) > surplus) revisions.resize(size_t(surplus));
    co_return co_await history_.forget(std::move(revisions));
  }

  client::Informer& sets_;
  client::Informer& pods_;
  client::Informer& nodes_;
  PodControl control_;
  RevisionHistory history_;
  const client::Informer::Index pod_index_, by_namespace_;
  std::unordered_map<std::string, Pause> pauses_;  // by set, generation and node
};

}  // namespace

std::unique_ptr<Controller> make_daemon_set_controller(Context& context) { return std::make_unique<DaemonSetController>(context); }

}  // namespace estiba::controllers
