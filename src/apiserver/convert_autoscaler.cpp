#include "apiserver/convert_autoscaler.h"

#include <algorithm>
#include <span>

#include "apiserver/edit.h"
#include "base/strings.h"
#include "model/quantity.h"
#include "model/types/autoscaling_v2.h"

namespace estiba::apiserver {

using json::Document;
using json::Node;
namespace v2 = model::autoscaling_v2;

namespace {

constexpr std::string_view metrics_key = "autoscaling.alpha.kubernetes.io/metrics",
                           current_key = "autoscaling.alpha.kubernetes.io/current-metrics",
                           behavior_key = "autoscaling.alpha.kubernetes.io/behavior",
                           conditions_key = "autoscaling.alpha.kubernetes.io/conditions";

// Where v2 keeps what v1 calls so.
struct Pair {
  std::string_view v1, v2;
  bool always = false;  // v1 has "0" where v2 has nothing
};
struct MetricKind {
  std::string_view member;
  std::span<const Pair> spec, status;
};

constexpr Pair object_spec[] = {{"target", "describedObject"},
                                {"metricName", "metric.name"},
                                {"targetValue", "target.value", true},
                                {"selector", "metric.selector"},
                                {"averageValue", "target.averageValue"}},
               object_status[] = {{"target", "describedObject"},
                                  {"metricName", "metric.name"},
                                  {"currentValue", "current.value", true},
                                  {"selector", "metric.selector"},
                                  {"averageValue", "current.averageValue"}},
               pods_spec[] = {{"metricName", "metric.name"},
                              {"targetAverageValue", "target.averageValue", true},
                              {"selector", "metric.selector"}},
               pods_status[] = {{"metricName", "metric.name"},
                                {"currentAverageValue", "current.averageValue", true},
                                {"selector", "metric.selector"}},
               resource_spec[] = {{"name", "name"},
                                  {"targetAverageUtilization", "target.averageUtilization"},
                                  {"targetAverageValue", "target.averageValue"},
                                  {"container", "container"}},
               resource_status[] = {{"name", "name"},
                                    {"currentAverageUtilization", "current.averageUtilization"},
                                    {"currentAverageValue", "current.averageValue", true},
                                    {"container", "container"}},
               external_spec[] = {{"metricName", "metric.name"},
                                  {"metricSelector", "metric.selector"},
                                  {"targetValue", "target.value"},
                                  {"targetAverageValue", "target.averageValue"}},
               external_status[] = {{"metricName", "metric.name"},
                                    {"metricSelector", "metric.selector"},
                                    {"currentValue", "current.value", true},
                                    {"currentAverageValue", "current.averageValue"}};
constexpr MetricKind kinds[] = {{"object", object_spec, object_status},
                                {"pods", pods_spec, pods_status},
                                {"resource", resource_spec, resource_status},
                                {"containerResource", resource_spec, resource_status},
                                {"external", external_spec, external_status}};

// --- metrics ---------------------------------------------------------------------------------------------------------------

bool is_cpu_share(const Node& metric, std::string_view of) {
  return metric.string_at("type") == "Resource" && metric.string_at("resource", "name") == "cpu" &&
         present(metric.at("resource", of, "averageUtilization"));
}

Node& metric_to_v1(Document& doc, const Node& metric, std::span<const Pair> MetricKind::* pairs) {
  Node& out = doc.make_object();
  set_copy(doc, out, "type", metric.find("type"));
  for (const MetricKind& kind : kinds) {
    const Node* from = metric.find(kind.member);
    if (!present(from)) continue;
    Node& to = doc.ensure_object(out, kind.member);
    for (const Pair& pair : kind.*pairs) {
      const Node* value = follow(*from, pair.v2);
      if (present(value)) set_copy(doc, to, pair.v1, value);
      else if (pair.always) doc.set(to, pair.v1, "0");
    }
  }
  return out;
}

// What the type of a target is can only be told by what it holds.
std::string_view type_of(std::string_view kind, const Node& target) {
  if (has(target, "averageUtilization")) return "Utilization";
  const bool average = has(target, "averageValue"), value = has(target, "value");
  return kind == "object" ? (average ? "AverageValue" : "Value") : value ? "Value" : "AverageValue";
}

bool is_zero(const Node& quantity) {
  const auto parsed = model::Quantity::parse(quantity.as_string());
  return parsed && parsed->is_zero();
}

Node& metric_to_v2(Document& doc, const Node& metric, std::span<const Pair> MetricKind::* pairs) {
  Node& out = doc.make_object();
  set_copy(doc, out, "type", metric.find("type"));
  for (const MetricKind& kind : kinds) {
    const Node* from = metric.find(kind.member);
    if (!present(from) || !from->is_object()) continue;
    Node& to = doc.ensure_object(out, kind.member);
    for (const Pair& pair : kind.*pairs) {
      const Node* value = from->find(pair.v1);
      if (!present(value)) continue;
      const auto [parent, member] = split_once(pair.v2, '.');
      if (member) set_copy(doc, doc.ensure_object(to, parent), *member, value);
      else set_copy(doc, to, parent, value);
    }
    Node* target = to.find("target");
    if (!target || pairs != &MetricKind::spec) continue;
    // v1 cannot leave an object's value out; v2 refuses one beside an average.
    if (kind.member == "object" && has(*target, "averageValue") && has(*target, "value") && is_zero(*target->find("value")))
      doc.remove(*target, "value");
    doc.set(*target, "type", type_of(kind.member, *target));
  }
  return out;
}

void append_cpu_share(Document& doc, Node& list, std::string_view in, const Node& share) {
  Node& metric = doc.make_object();
  doc.set(metric, "type", "Resource");
  Node& resource = doc.ensure_object(metric, "resource");
  doc.set(resource, "name", "cpu");
  Node& place = doc.ensure_object(resource, in);
  if (in == "target") doc.set(place, "type", "Utilization");
  set_copy(doc, place, "averageUtilization", &share);
  doc.append(list, metric);
}

// --- behavior: its annotation has the names of Go's fields, which are read in any case -------------------------------------------

constexpr std::string_view rules_fields[] = {"stabilizationWindowSeconds", "selectPolicy", "policies", "tolerance"},
                           policy_fields[] = {"type", "value", "periodSeconds"}, directions[] = {"scaleUp", "scaleDown"};

std::string capital(std::string_view name) {
  std::string out(name);
  out[0] = char(out[0] - 'a' + 'A');
  return out;
}

Node& with_capitals(Document& doc, const Node* from, std::span<const std::string_view> fields) {
  if (!present(from)) return doc.make_null();
  Node& out = doc.make_object();
  for (std::string_view field : fields) {
    const Node* value = from->find(field);
    if (field == "policies" && present(value)) {
      Node& list = ensure_array(doc, out, "Policies");
      for (const Node& policy : *value) doc.append(list, with_capitals(doc, &policy, policy_fields));
    } else {
      doc.set(out, capital(field), present(value) ? doc.copy(*value) : doc.make_null());
    }
  }
  return out;
}

const Node* find_any_case(const Node& object, std::string_view name) {
  const Node* found = nullptr;
  if (!object.is_object()) return found;
  for (const Node& member : object)
    if (to_lower(member.key()) == to_lower(name)) found = &member;
  return found;
}

Node& without_capitals(Document& doc, const Node& from, std::span<const std::string_view> fields) {
  Node& out = doc.make_object();
  for (std::string_view field : fields) {
    const Node* value = find_any_case(from, field);
    if (!present(value)) continue;
    if (field == "policies" && value->is_array()) {
      Node& list = ensure_array(doc, out, field);
      for (const Node& policy : *value) doc.append(list, without_capitals(doc, policy, policy_fields));
    } else {
      set_copy(doc, out, field, value);
    }
  }
  return out;
}

// --- annotations ------------------------------------------------------------------------------------------------------------

void drop_annotations(Document& doc, Node& object) {
  Node* metadata = object.find("metadata");
  Node* annotations = metadata ? metadata->find("annotations") : nullptr;
  if (!present(annotations)) return;
  bool dropped = false;
  for (std::string_view name : {metrics_key, current_key, behavior_key, conditions_key}) dropped |= doc.remove(*annotations, name);
  if (dropped && annotations->empty()) doc.remove(*metadata, "annotations");
}

void annotate(Document& doc, Node& object, std::string_view key, const Node& value) {
  doc.set(doc.ensure_object(doc.ensure_object(object, "metadata"), "annotations"), key, json::print(value));
}

// Lists that an annotation holds, each element made by `make`; null when it is not there, or not what it should be.
template <class T>
Node* list_of(Document& doc, const Node& object, std::string_view key, auto&& make) {
  const Node* text = object.at("metadata", "annotations", key);
  if (!text) return nullptr;
  const auto parsed = Document::parse(text->as_string());
  if (!parsed || !parsed->root().is_array()) return nullptr;
  Node& list = doc.make_array();
  for (const Node& each : parsed->root()) {
    if (!each.is_object()) return nullptr;
    Node& made = make(each);
    if (!model::decode<T>(made)) return nullptr;
    doc.append(list, made);
  }
  return &list;
}

void metrics_to_v2(Document& doc, const Node& object, Node& spec) {
  Node* share = spec.find("targetCPUUtilizationPercentage");
  Node* others = list_of<v2::MetricSpec>(doc, object, metrics_key,
                                         [&](const Node& each) -> Node& { return metric_to_v2(doc, each, &MetricKind::spec); });
  Node& metrics = others ? *others : doc.make_array();
  if (present(share)) append_cpu_share(doc, metrics, "target", *share);
  // Neither here nor there: what v1 means by that.
  if (metrics.empty()) append_cpu_share(doc, metrics, "target", doc.make_int(80));
  doc.remove(spec, "targetCPUUtilizationPercentage");
  doc.set(spec, "metrics", metrics);
}

void behavior_to_v2(Document& doc, const Node& object, Node& spec) {
  const Node* text = object.at("metadata", "annotations", behavior_key);
  if (!text) return;
  const auto parsed = Document::parse(text->as_string());
  if (!parsed || !parsed->root().is_object()) return;
  Node& behavior = doc.make_object();
  for (std::string_view direction : directions) {
    const Node* rules = find_any_case(parsed->root(), direction);
    if (present(rules)) doc.set(behavior, direction, without_capitals(doc, *rules, rules_fields));
  }
  if (!behavior.empty() && model::decode<v2::HorizontalPodAutoscalerBehavior>(behavior)) doc.set(spec, "behavior", behavior);
}

void status_to_v2(Document& doc, Node& object) {
  Node* current = list_of<v2::MetricStatus>(doc, object, current_key,
                                            [&](const Node& each) -> Node& { return metric_to_v2(doc, each, &MetricKind::status); });
  Node* conditions =
      list_of<v2::HorizontalPodAutoscalerCondition>(doc, object, conditions_key, [&](const Node& each) -> Node& { return doc.copy(each); });
  Node* status = object.find("status");
  if (!present(status)) {
    if (!current && !conditions) return;
    status = &doc.ensure_object(object, "status");
  }
  const Node* share = status->find("currentCPUUtilizationPercentage");
  if (!current && present(share)) {
    current = &doc.make_array();
    append_cpu_share(doc, *current, "current", *share);
  }
  doc.remove(*status, "currentCPUUtilizationPercentage");
  if (current) doc.set(*status, "currentMetrics", *current);
  if (conditions) doc.set(*status, "conditions", *conditions);
}

void spec_to_v1(Document& doc, Node& object, Node& spec) {
  Node& others = doc.make_array();
  if (const Node* metrics = spec.find("metrics"); present(metrics)) {
    const Node* share = nullptr;
    for (const Node& metric : *metrics) {
      if (!is_cpu_share(metric, "target")) doc.append(others, metric_to_v1(doc, metric, &MetricKind::spec));
      else if (!share) share = metric.at("resource", "target", "averageUtilization");
    }
    if (share) set_copy(doc, spec, "targetCPUUtilizationPercentage", share);
  }
  if (!others.empty()) annotate(doc, object, metrics_key, others);
  if (const Node* behavior = spec.find("behavior"); present(behavior)) {
    Node& kept = doc.make_object();
    for (std::string_view direction : directions)
      doc.set(kept, capital(direction), with_capitals(doc, behavior->find(direction), rules_fields));
    annotate(doc, object, behavior_key, kept);
  }
  doc.remove(spec, "metrics");
  doc.remove(spec, "behavior");
}

void status_to_v1(Document& doc, Node& object, Node& status) {
  if (const Node* current = status.find("currentMetrics"); present(current) && !current->empty()) {
    Node& kept = doc.make_array();
    for (const Node& metric : *current) {
      doc.append(kept, metric_to_v1(doc, metric, &MetricKind::status));
      if (is_cpu_share(metric, "current"))
        set_copy(doc, status, "currentCPUUtilizationPercentage", metric.at("resource", "current", "averageUtilization"));
    }
    annotate(doc, object, current_key, kept);
  }
  if (const Node* conditions = status.find("conditions"); present(conditions) && !conditions->empty())
    annotate(doc, object, conditions_key, *conditions);
  doc.remove(status, "currentMetrics");
  doc.remove(status, "conditions");
}

}  // namespace

void autoscaler_to_v1(Document& doc, Node& object) {
  drop_annotations(doc, object);
  if (Node* spec = object.find("spec"); present(spec)) spec_to_v1(doc, object, *spec);
  if (Node* status = object.find("status"); present(status)) status_to_v1(doc, object, *status);
}

void autoscaler_to_v2(Document& doc, Node& object) {
  if (Node* spec = object.find("spec"); present(spec)) {
    metrics_to_v2(doc, object, *spec);
    behavior_to_v2(doc, object, *spec);
  }
  status_to_v2(doc, object);
  drop_annotations(doc, object);
}

}  // namespace estiba::apiserver
