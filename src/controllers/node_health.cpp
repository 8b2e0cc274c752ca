#include "controllers/node_health.h"

#include <algorithm>

#include "base/time.h"
#include "client/json_writer.h"
#include "client/tolerations.h"
#include "controllers/pod_facts.h"

namespace estiba::controllers {

using client::JsonWriter;
using model::core_v1::Node;
using model::core_v1::NodeCondition;
using model::core_v1::Pod;
using model::core_v1::Taint;

static const NodeCondition* find(const Node& node, std::string_view type) {
  for (const NodeCondition& condition : node.status.conditions)
    if (condition.type == type) return &condition;
  return nullptr;
}

static bool is_true(const Node& node, std::string_view type) {
  const NodeCondition* condition = find(node, type);
  return condition && condition->status == "True";
}

Readiness readiness_of(const Node& node) {
  const NodeCondition* ready = find(node, "Ready");
  if (!ready || ready->status == "Unknown") return Readiness::unknown;
  return ready->status == "True" ? Readiness::ready : Readiness::not_ready;
}

bool is_out_of_service(const Node& node) {
  return std::ranges::any_of(node.spec.taints, [](const Taint& taint) { return taint.key == "node.kubernetes.io/out-of-service"; });
}

std::vector<Taint> right_taints(const Node& node, WallTime now) {
  const Readiness readiness = readiness_of(node);
  const bool lost = readiness == Readiness::unknown && find(node, "Ready"),
             unready = readiness == Readiness::not_ready || !find(node, "Ready");
  struct Rule {
    std::string_view key, effect;
    bool wanted;
  };
  const Rule rules[] = {
      {not_ready_taint, "NoSchedule", unready},
      {not_ready_taint, "NoExecute", readiness == Readiness::not_ready},
      {unreachable_taint, "NoSchedule", lost},
      {unreachable_taint, "NoExecute", lost},
      {"node.kubernetes.io/memory-pressure", "NoSchedule", is_true(node, "MemoryPressure")},
      {"node.kubernetes.io/disk-pressure", "NoSchedule", is_true(node, "DiskPressure")},
      {"node.kubernetes.io/pid-pressure", "NoSchedule", is_true(node, "PIDPressure")},
      {"node.kubernetes.io/network-unavailable", "NoSchedule", is_true(node, "NetworkUnavailable")},
      {"node.kubernetes.io/unschedulable", "NoSchedule", node.spec.unschedulable.value_or(false)},
  };
  std::vector<Taint> taints;
  for (const Taint& taint : node.spec.taints) {
    const auto rule =
        std::find_if(std::begin(rules), std::end(rules), [&](const Rule& r) { return r.key == taint.key && r.effect == taint.effect; });
    if (rule == std::end(rules) || rule->wanted) taints.push_back(taint);
  }
  for (const Rule& rule : rules) {
    if (!rule.wanted ||
        std::any_of(taints.begin(), taints.end(), [&](const Taint& t) { return t.key == rule.key && t.effect == rule.effect; }))
      continue;
    Taint taint{.key = std::string(rule.key), .effect = std::string(rule.effect)};
    if (rule.effect == "NoExecute" || rule.key == "node.kubernetes.io/unschedulable") taint.timeAdded = format_rfc3339(now);
    taints.push_back(std::move(taint));
  }
  return taints;
}

static void begin_guarded(JsonWriter& json, const model::ObjectRef& object) {
  json.object().object("metadata").field("resourceVersion", object.resource_version()).field("uid", object.meta().uid).end();
}

std::string taints_patch(const model::ObjectRef& node, const std::vector<Taint>& taints) {
  JsonWriter json;
  begin_guarded(json, node);
  json.object("spec");
  if (taints.empty()) {
    json.null("taints");
  } else {
    json.array("taints");
    for (const Taint& taint : taints)
      json.object()
          .field("key", taint.key)
          .optional("value", taint.value)
          .field("effect", taint.effect)
          .optional("timeAdded", taint.timeAdded)
          .end();
    json.end();
  }
  json.end().end();
  return json.take();
}

static bool is_watched(std::string_view type) {
  return type == "Ready" || type == "MemoryPressure" || type == "DiskPressure" || type == "PIDPressure";
}

std::string unknown_conditions_patch(const model::ObjectRef& object, WallTime now) {
  const Node& node = object.as<Node>();
  const std::string time = format_rfc3339(now);
  JsonWriter json;
  begin_guarded(json, object);
  json.object("status").array("conditions");
  const auto write = [&](const NodeCondition& c) {
    json.object().field("type", c.type).field("status", c.status).optional("lastHeartbeatTime", c.lastHeartbeatTime);
    json.optional("lastTransitionTime", c.lastTransitionTime).field("reason", c.reason).field("message", c.message).end();
  };
  for (NodeCondition condition : node.status.conditions) {
    if (is_watched(condition.type) && condition.status != "Unknown") {
      condition.status = "Unknown";
      condition.reason = "NodeStatusUnknown";
      condition.message = "Kubelet stopped posting node status.";
      condition.lastTransitionTime = time;
    }
    write(condition);
  }
  if (!find(node, "Ready"))
    write({.type = "Ready",
           .status = "Unknown",
           .lastHeartbeatTime = object.meta().creation_timestamp,
           .lastTransitionTime = time,
           .reason = "NodeStatusNeverUpdated",
           .message = "Kubelet never posted node status."});
  json.end().end().end();
  return json.take();
}

std::optional<std::string> unready_pod_patch(const model::ObjectRef& object, WallTime now) {
  const Pod& pod = object.as<Pod>();
  if (!is_ready(pod)) return std::nullopt;
  JsonWriter json;
  begin_guarded(json, object);
  json.object("status").array("conditions");
  for (const auto& c : pod.status.conditions) {
    const bool ready = c.type == "Ready";
    json.object().field("type", c.type).field("status", ready ? "False" : c.status).optional("lastProbeTime", c.lastProbeTime);
    if (c.observedGeneration) json.field("observedGeneration", *c.observedGeneration);
    json.optional("lastTransitionTime", ready ? format_rfc3339(now) : c.lastTransitionTime)
        .optional("reason", c.reason)
        .optional("message", c.message)
        .end();
  }
  json.end().end().end();
  return json.take();
}

std::optional<WallTime> leaves_at(const Pod& pod, const std::vector<Taint>& taints, WallTime now) {
  std::optional<WallTime> earliest;
  for (const Taint& taint : taints) {
    if (taint.effect != "NoExecute") continue;
    bool tolerated = false;
    int64_t seconds = INT64_MAX;
    for (const auto& toleration : pod.spec.tolerations) {
      if (!client::tolerates(toleration, taint)) continue;
      tolerated = true;
      if (toleration.tolerationSeconds) seconds = std::min(seconds, std::max<int64_t>(0, *toleration.tolerationSeconds));
    }
    if (!tolerated && (taint.key == not_ready_taint || taint.key == unreachable_taint)) {
      tolerated = true;
      seconds = 300;
    }
    if (tolerated && seconds == INT64_MAX) continue;
    // A pod that came later has its time, too.
    const WallTime since =
        std::max(taint.timeAdded.empty() ? now : time_or_epoch(taint.timeAdded), time_or_epoch(pod.metadata.creationTimestamp));
    const WallTime at = tolerated ? since + std::chrono::seconds(std::min<int64_t>(seconds, 1'000'000'000)) : now;
    if (!earliest || at < *earliest) earliest = at;
  }
  return earliest;
}

}  // namespace estiba::controllers
