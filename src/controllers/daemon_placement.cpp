#include "controllers/daemon_placement.h"

#include <algorithm>

#include "base/strings.h"
#include "client/node_selectors.h"
#include "client/tolerations.h"
#include "controllers/pod_control.h"
#include "controllers/revision_history.h"
#include "model/types/apps_v1.h"

namespace estiba::controllers {

using model::ObjectRef;
using model::apps_v1::DaemonSet;
using model::core_v1::Node;
using model::core_v1::Pod;
using model::core_v1::PodSpec;
using model::core_v1::Toleration;

constexpr std::string_view generation_annotation = "deprecated.daemonset.template.generation";
constexpr std::string_view generation_label = "pod-template-generation";

namespace {

struct OwnToleration {
  std::string_view key, effect;
  bool host_network_only = false;
};
// Daemons stay where other pods would be driven off or not placed: they are what makes a node well again.
constexpr OwnToleration own_tolerations[] = {
    {"node.kubernetes.io/not-ready", "NoExecute"},
    {"node.kubernetes.io/unreachable", "NoExecute"},
    {"node.kubernetes.io/disk-pressure", "NoSchedule"},
    {"node.kubernetes.io/memory-pressure", "NoSchedule"},
    {"node.kubernetes.io/pid-pressure", "NoSchedule"},
    {"node.kubernetes.io/unschedulable", "NoSchedule"},
    {"node.kubernetes.io/network-unavailable", "NoSchedule", true},
};

bool tolerates(const PodSpec& spec, const model::core_v1::Taint& taint) {
  if (client::tolerates(spec.tolerations, taint)) return true;
  return std::any_of(std::begin(own_tolerations), std::end(own_tolerations), [&](const OwnToleration& own) {
    return own.key == taint.key && own.effect == taint.effect && (!own.host_network_only || spec.hostNetwork.value_or(false));
  });
}

// The number of the template that the API server counts, or "".
std::string generation_of(const ObjectRef& set) {
  const std::string_view text = set.meta().annotation(generation_annotation);
  return parse_number<int64_t>(text) ? std::string(text) : std::string{};
}

}  // namespace

Placement placement_on(const ObjectRef& set, const ObjectRef& node) {
  const PodSpec& spec = set.as<DaemonSet>().spec.template_.spec;
  if (!spec.nodeName.empty() && spec.nodeName != node.meta().name) return {};
  if (!client::selects(spec, node.meta())) return {};
  Placement placement{true, true};
  for (const auto& taint : node.as<Node>().spec.taints) {
    if ((taint.effect != "NoSchedule" && taint.effect != "NoExecute") || tolerates(spec, taint)) continue;
    placement.should_run = false;
    if (taint.effect == "NoExecute") placement.may_stay = false;
  }
  return placement;
}

// --- the pod ---------------------------------------------------------------------------------------------------------

static void add_tolerations(json::Document& doc, json::Node& spec) {
  json::Node* list = spec.find("tolerations");
  if (!list || !list->is_array()) list = &doc.set(spec, "tolerations", doc.make_array());
  const json::Node* host_network = spec.find("hostNetwork");
  for (const OwnToleration& own : own_tolerations) {
    if (own.host_network_only && !(host_network && host_network->as_bool())) continue;
    const auto same = [&](const json::Node& t) {
      return t.string_at("key") == own.key && t.string_at("effect") == own.effect && t.string_at("operator") == "Exists" &&
             !t.find("tolerationSeconds");
    };
    bool there = false;
    for (const json::Node& toleration : *list) there |= same(toleration);
    if (there) continue;
    json::Node& toleration = doc.append(*list, doc.make_object());
    doc.set(toleration, "key", own.key);
    doc.set(toleration, "operator", "Exists");
    doc.set(toleration, "effect", own.effect);
  }
}

// The set's own required terms have been judged already; they give way to the node's name.
static void require_node(json::Document& doc, json::Node& spec, const std::string& node) {
  json::Node& affinity = doc.ensure_object(doc.ensure_object(spec, "affinity"), "nodeAffinity");
  json::Node& required = doc.set(affinity, "requiredDuringSchedulingIgnoredDuringExecution", doc.make_object());
  json::Node& terms = doc.set(required, "nodeSelectorTerms", doc.make_array());
  json::Node& term = doc.append(terms, doc.make_object());
  json::Node& fields = doc.set(term, "matchFields", doc.make_array());
  json::Node& field = doc.append(fields, doc.make_object());
  doc.set(field, "key", "metadata.name");
  doc.set(field, "operator", "In");
  doc.append(doc.set(field, "values", doc.make_array()), doc.make_string(node));
}

Result<std::string> daemon_pod_body(const ObjectRef& set, const std::string& hash, const std::string& node) {
  return pod_from_template(set, [&](json::Document& doc, json::Node& pod) {
    json::Node& labels = doc.ensure_object(doc.ensure_object(pod, "metadata"), "labels");
    doc.set(labels, revision_hash_label, hash);
    if (const std::string generation = generation_of(set); !generation.empty()) doc.set(labels, generation_label, generation);
    json::Node& spec = doc.ensure_object(pod, "spec");
    add_tolerations(doc, spec);
    require_node(doc, spec, node);
  });
}

std::string target_node(const ObjectRef& pod) {
  const PodSpec& spec = pod.as<Pod>().spec;
  if (!spec.nodeName.empty()) return spec.nodeName;
  if (!spec.affinity || !spec.affinity->nodeAffinity || !spec.affinity->nodeAffinity->requiredDuringSchedulingIgnoredDuringExecution)
    return {};
  for (const auto& term : spec.affinity->nodeAffinity->requiredDuringSchedulingIgnoredDuringExecution->nodeSelectorTerms)
    for (const auto& field : term.matchFields)
      if (field.key == "metadata.name" && field.operator_ == "In" && field.values.size() == 1) return field.values[0];
  return {};
}

bool is_of_revision(const ObjectRef& set, const ObjectRef& pod, const std::string& hash) {
  if (!hash.empty() && pod.meta().label(revision_hash_label) == hash) return true;
  const std::string generation = generation_of(set);
  return !generation.empty() && pod.meta().label(generation_label) == generation;
}

}  // namespace estiba::controllers
