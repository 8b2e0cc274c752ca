// Node lifecycle: a node that gives no sign of life (its Lease, or its Ready condition) for the grace time becomes Unknown;
// taints follow the conditions; pods of a lost node are marked not ready at once and evicted when their tolerations end.
//
// Signs are timed when they arrive here, on our own clock: clocks of nodes may be wrong, and a server that was down itself
// must not take its nodes for lost.
#include "base/log.h"
#include "base/time.h"
#include "controllers/framework.h"
#include "controllers/node_health.h"
#include "controllers/pod_facts.h"
#include "controllers/pods_by_node.h"
#include "controllers/table.h"
#include "model/types/coordination_v1.h"

namespace estiba::controllers {

using model::ObjectRef;
using model::core_v1::Node;
using model::core_v1::Pod;
using model::core_v1::Taint;

namespace {

constexpr std::string_view lease_namespace = "kube-node-lease";

bool same(const std::vector<Taint>& a, const std::vector<Taint>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const Taint& x, const Taint& y) { return x.key == y.key && x.effect == y.effect && x.value == y.value; });
}

std::string heartbeat_of(const ObjectRef& node) {
  for (const auto& condition : node.as<Node>().status.conditions)
    if (condition.type == "Ready") return condition.lastHeartbeatTime;
  return {};
}

class NodeLifecycleController final : public Controller {
 public:
  explicit NodeLifecycleController(Context& context)
      : Controller(context, "node-controller", {.workers = 4}),
        nodes_(informer(client::nodes)),
        leases_(informer(client::leases)),
        pods_(informer(client::pods)),
        by_node_(pods_by_node(pods_)) {
    nodes_.on_change([this](const ObjectRef& before, const ObjectRef& after) {
      const std::string& name = (after ? after : before).meta().name;
      if (!before || !after || heartbeat_of(before) != heartbeat_of(after)) note_sign(name, !after);
      enqueue(name);
    });
    leases_.on_change([this](const ObjectRef&, const ObjectRef& after) {
      if (!after || after.meta().ns != lease_namespace) return;
      note_sign(after.meta().name, false);
      // A node that was lost is heard of again; its own status will tell the rest.
      if (const ObjectRef node = nodes_.get(after.meta().name); node && readiness_of(node.as<Node>()) == Readiness::unknown)
        enqueue(after.meta().name);
    });
    pods_.on_change([this](const ObjectRef&, const ObjectRef& after) {
      if (!after || after.as<Pod>().spec.nodeName.empty()) return;
      const ObjectRef node = nodes_.get(after.as<Pod>().spec.nodeName);
      if (node && !node.as<Node>().spec.taints.empty()) enqueue(node.meta().name);
    });
  }

 private:
  void note_sign(const std::string& node, bool gone) {
    if (gone) seen_.erase(node), first_seen_.erase(node);
    else seen_[node] = context_.executor.now();
  }

  Task<Result<void>> reconcile(std::string name) override {
    const ObjectRef node = nodes_.get(name);
    if (!node) co_return {};
    CO_TRY(co_await check_life(node));
    // What was just written is in the cache.
    const ObjectRef now = nodes_.get(name);
    if (!now) co_return {};
    CO_TRY(co_await put_taints_right(now));
    if (readiness_of(now.as<Node>()) == Readiness::unknown) CO_TRY(co_await mark_pods(name));
    co_return co_await evict(name);
  }

  Task<Result<void>> check_life(ObjectRef node) {
    const std::string& name = node.meta().name;
    const Duration grace = heartbeat_of(node).empty() ? context_.options.node_startup_grace : context_.options.node_grace;
    const Duration silent = context_.executor.now() - seen_.try_emplace(name, context_.executor.now()).first->second;
    if (silent < grace) {
      enqueue_after(name, grace - silent);
      co_return {};
    }
    const auto& conditions = node.as<Node>().status.conditions;
    if (readiness_of(node.as<Node>()) == Readiness::unknown && !conditions.empty()) co_return {};
    log::warn("node-controller", "a node is lost: no sign of life",
              {{"node", name}, {"seconds", std::chrono::duration_cast<std::chrono::seconds>(silent).count()}});
    auto written = co_await client_.patch(client::nodes, "", name, client::PatchType::merge, unknown_conditions_patch(node, wall_now()),
                                          {.subresource = "status"});
    if (!written) co_return std::unexpected(std::move(written.error().context("mark node " + name + " unknown")));
    nodes_.observe(*written);
    events_.record(node, client::EventType::normal, "NodeNotReady", "Node " + name + " status is now: NodeNotReady");
    co_return {};
  }

  Task<Result<void>> put_taints_right(ObjectRef node) {
    const Node& typed = node.as<Node>();
    const std::vector<Taint> taints = right_taints(typed, wall_now());
    if (same(taints, typed.spec.taints)) co_return {};
    auto written = co_await client_.patch(client::nodes, "", node.meta().name, client::PatchType::merge, taints_patch(node, taints));
    if (!written) co_return std::unexpected(std::move(written.error().context("taint node " + node.meta().name)));
    nodes_.observe(*written);
    co_return {};
  }

  Task<Result<void>> mark_pods(std::string name) {
    for (const ObjectRef& pod : pods_.find(by_node_, name)) {
      const auto patch = unready_pod_patch(pod, wall_now());
      if (!patch) continue;
      events_.record(pod, client::EventType::warning, "NodeNotReady", "Node is not ready");
      auto written =
          co_await client_.patch(client::pods, pod.meta().ns, pod.meta().name, client::PatchType::merge, *patch, {.subresource = "status"});
      if (written) pods_.observe(*written);
      else if (written.error().code != Code::not_found)
        co_return std::unexpected(std::move(written.error().context("mark pod " + client::key_of(pod) + " not ready")));
    }
    co_return {};
  }

  Task<Result<void>> evict(std::string name) {
    const ObjectRef node = nodes_.get(name);
    if (!node) co_return {};
    const std::vector<Taint> taints = dated(name, node.as<Node>().spec.taints);
    if (std::none_of(taints.begin(), taints.end(), [](const Taint& taint) { return taint.effect == "NoExecute"; })) co_return {};
    for (const ObjectRef& pod : pods_.find(by_node_, name)) {
      if (!is_active(pod)) continue;
      const auto at = leaves_at(pod.as<Pod>(), taints, wall_now());
      if (!at) continue;
      if (*at > wall_now()) {
        enqueue_after(name, *at - wall_now());
        continue;
      }
      events_.record(pod, client::EventType::normal, "TaintManagerEviction", "Marking for deletion Pod " + client::key_of(pod));
      auto removed = co_await client_.remove(client::pods, pod.meta().ns, pod.meta().name, {.uid = pod.meta().uid});
      if (!removed && removed.error().code != Code::not_found && removed.error().code != Code::conflict)
        co_return std::unexpected(std::move(removed.error().context("evict pod " + client::key_of(pod))));
    }
    co_return {};
  }

  // A taint that does not say when it was added was added when it was first seen.
  std::vector<Taint> dated(const std::string& node, std::vector<Taint> taints) {
    std::map<std::string, std::string> known = std::exchange(first_seen_[node], {});
    for (Taint& taint : taints) {
      if (!taint.timeAdded.empty() || taint.effect != "NoExecute") continue;
      const std::string key = taint.key + "=" + taint.value;
      const auto found = known.find(key);
      taint.timeAdded = first_seen_[node][key] = found != known.end() ? found->second : format_rfc3339(wall_now());
    }
    if (first_seen_[node].empty()) first_seen_.erase(node);
    return taints;
  }

  client::Informer& nodes_;
  client::Informer& leases_;
  client::Informer& pods_;
  const client::Informer::Index by_node_;
  std::map<std::string, Instant> seen_;                                   // the last sign of life, by node
  std::map<std::string, std::map<std::string, std::string>> first_seen_;  // by node and taint
};

}  // namespace

std::unique_ptr<Controller> make_node_lifecycle_controller(Context& context) { return std::make_unique<NodeLifecycleController>(context); }

}  // namespace estiba::controllers
