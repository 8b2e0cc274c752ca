#include "autoscale/removal.h"

#include <algorithm>

#include "autoscale/metrics.h"
#include "base/log.h"
#include "client/json_writer.h"
#include "controllers/node_health.h"

namespace estiba::autoscale {

using namespace std::chrono_literals;
using client::EventType;
using model::ObjectRef;
using model::core_v1::Node;
using model::core_v1::Pod;
using Verdict = Drainability::Verdict;

namespace {

// Others write the Node too (its status, other taints): a few tries are enough.
Task<Result<void>> set_mark(const RemovalParts* parts, std::string name, bool marked) {
  for (int tries = 0;; ++tries) {
    auto node = co_await parts->client.get(client::nodes, "", name);
    if (!node && !marked && node.error().code == Code::not_found) co_return {};
    if (!node) co_return std::unexpected(std::move(node.error()));
    if (is_marked_going(*node) == marked) co_return {};
    auto taints = node->as<Node>().spec.taints;
    std::erase_if(taints, [](const auto& taint) { return taint.key == going_taint; });
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(parts->executor.wall_now().time_since_epoch()).count();
    if (marked) taints.push_back({.key = std::string(going_taint), .value = std::to_string(seconds), .effect = "NoSchedule"});
    auto written =
        co_await parts->client.patch(client::nodes, "", name, client::PatchType::merge, controllers::taints_patch(*node, taints));
    if (written) {
      parts->world.nodes->observe(*written);
      co_return {};
    }
    if (written.error().code != Code::conflict || tries == 10) co_return std::unexpected(std::move(written.error()));
  }
}

Task<Result<void>> evict(const RemovalParts* parts, ObjectRef pod) {
  const model::Meta& meta = pod.meta();
  client::JsonWriter json;
  json.object().field("apiVersion", "policy/v1").field("kind", "Eviction").object("metadata");
  json.field("name", meta.name).field("namespace", meta.ns).end();
  const int64_t most = std::chrono::duration_cast<std::chrono::seconds>(parts->settings.longest_grace).count();
  const int64_t own = pod.as<Pod>().spec.terminationGracePeriodSeconds.value_or(30);
  json.object("deleteOptions").field("gracePeriodSeconds", std::min(own, most)).object("preconditions").field("uid", meta.uid).end().end();
  json.end();
  auto done = co_await parts->client.call(client::pods, meta.ns, meta.name, "eviction", json.take());
  if (!done && done.error().code != Code::not_found && done.error().code != Code::conflict)
    co_return std::unexpected(std::move(done.error()));
  co_return {};
}

struct OnNode {
  std::vector<ObjectRef> moving, ending;
};

Result<OnNode> pods_on(const RemovalParts* parts, const std::string& node) {
  OnNode out;
  const Budgets budgets(*parts->world.budgets);
  for (const ObjectRef& pod : parts->world.pods->find(parts->world.pods_by_node, node)) {
    const Drainability told = drainability_of(pod, parts->settings, parts->world.owners, budgets);
    const model::Owner* owner = pod.meta().controller();
    if (told.verdict == Verdict::blocks)
      return fail(Code::conflict, "pod " + client::key_of(pod) + " came to it and must not be evicted: " + told.reason);
    if (told.verdict == Verdict::moves) out.moving.push_back(pod);
    else if (!pod.meta().deletion_timestamp.empty() && !(owner && owner->kind == "DaemonSet")) out.ending.push_back(pod);
  }
  return out;
}

// Evicts what is there until nothing is, again and again: budgets may allow one pod after another only.
Task<Result<void>> drain(const RemovalParts* parts, std::string name) {
  const Instant begin = parts->executor.now();
  std::string refused;
  for (;;) {
    OnNode on = CO_TRY(pods_on(parts, name));
    // Nobody there would tell of their end.
    if (const ObjectRef node = parts->world.node(name); !node || !is_ready(node)) on.ending.clear();
    if (on.moving.empty() && on.ending.empty()) co_return {};
    const auto spent = parts->executor.now() - begin;
    if (!on.moving.empty() && spent >= parts->settings.eviction_limit)
      co_return fail(Code::timeout, "pod " + client::key_of(on.moving[0]) + " could not be evicted: " + refused);
    if (spent >= parts->settings.eviction_limit + parts->settings.longest_grace + 30s)
      co_return fail(Code::timeout, "pod " + client::key_of(on.ending[0]) + " does not end");
    for (const ObjectRef& pod : on.moving) {
      auto evicted = co_await evict(parts, pod);
      if (evicted) {
        evicted_pods().add();
        parts->events.record(pod, EventType::normal, "ScaleDown", "deleting pod for node scale down");
      } else {
        refused = evicted.error().message;
      }
    }
    co_await sleep_for(on.moving.empty() || refused.empty() ? Duration(500ms) : Duration(5s));
  }
}

Task<Result<void>> empty_and_remove(const RemovalParts* parts, std::string name) {
  const ObjectRef node = parts->world.node(name);
  if (!node) co_return fail(Code::not_found, "the Node is gone");
  CO_TRY_AS("taint the node", co_await set_mark(parts, name, true));
  parts->events.record(node, EventType::normal, "ScaleDown", "marked the node as toBeDeleted/unschedulable");
  CO_TRY_AS("drain the node", co_await drain(parts, name));
  // The machine first: while it lives, its agent would make its Node again, and a Node that is marked is what tells the next server.
  CO_TRY_AS("remove the machine", co_await parts->fleet.remove(name));
  parts->events.record(node, EventType::normal, "ScaleDown", "node removed by cluster autoscaler");
  co_return {};
}

}  // namespace

Task<Result<void>> unmark_going(const RemovalParts* parts, std::string name) { co_return co_await set_mark(parts, std::move(name), false); }

Task<void> remove_node(const RemovalParts* parts, std::string name, std::string reason) {
  parts->events.record(parts->status, EventType::normal, reason == "empty" ? "ScaleDownEmpty" : "ScaleDown",
                       "Scale-down: removing " + std::string(reason == "empty" ? "empty " : "") + "node " + name);
  auto done = co_await empty_and_remove(parts, name);
  if (done) {
    scaled_down().with({reason}).add();
    log::info("autoscaler", "a node was removed", {{"node", name}, {"reason", reason}});
    co_return;
  }
  errors().with({"internalError"}).add();
  log::warn("autoscaler", "a node was not removed", {{"node", name}, {"error", done.error()}});
  if (const ObjectRef node = parts->world.node(name))
    parts->events.record(node, EventType::warning, "ScaleDownFailed", "failed to delete node: " + done.error().message);
  auto unmarked = co_await unmark_going(parts, name);
  if (!unmarked) log::warn("autoscaler", "a node keeps its taint", {{"node", name}, {"error", unmarked.error()}});
  if (Member* member = parts->fleet.find(name)) {
    member->going = false;
    member->left_alone_until = parts->executor.now() + parts->settings.after_failure;
  }
}

}  // namespace estiba::autoscale
