#include "apiserver/kinds/pod_label_keys.h"

#include "apiserver/edit.h"

namespace estiba::apiserver::pod {

using json::Node;

namespace {

// Of a PodAffinityTerm or a TopologySpreadConstraint. Without a selector it matches no pods, whatever the keys are.
void merge(json::Document& doc, Node& term, const Node& labels) {
  Node* selector = term.find("labelSelector");
  if (!present(selector)) return;
  for (const auto& [list, op] : {std::pair("matchLabelKeys", "In"), std::pair("mismatchLabelKeys", "NotIn")}) {
    const Node* keys = term.find(list);
    if (!present(keys)) continue;
    for (const Node& key : *keys) {
      const Node* value = labels.find(key.as_string());
      if (!value) continue;
      Node& requirement = doc.make_object();
      doc.set(requirement, "key", key.as_string());
      doc.set(requirement, "operator", op);
      doc.append(ensure_array(doc, requirement, "values"), doc.make_string(value->as_string()));
      doc.append(ensure_array(doc, *selector, "matchExpressions"), requirement);
    }
  }
}

void merge_affinity(json::Document& doc, Node& affinity, const Node& labels) {
  if (Node* required = affinity.find("requiredDuringSchedulingIgnoredDuringExecution"); present(required))
    for (Node& term : *required) merge(doc, term, labels);
  if (Node* preferred = affinity.find("preferredDuringSchedulingIgnoredDuringExecution"); present(preferred))
    for (Node& weighted : *preferred)
      if (Node* term = weighted.find("podAffinityTerm"); present(term)) merge(doc, *term, labels);
}

}  // namespace

void merge_label_keys(json::Document& doc, Node& spec, const Node* labels) {
  if (!present(labels)) return;
  if (Node* affinity = spec.find("affinity"); present(affinity))
    for (std::string_view kind : {"podAffinity", "podAntiAffinity"})
      if (Node* terms = affinity->find(kind); present(terms)) merge_affinity(doc, *terms, *labels);
  if (Node* constraints = spec.find("topologySpreadConstraints"); present(constraints))
    for (Node& constraint : *constraints) merge(doc, constraint, *labels);
}

}  // namespace estiba::apiserver::pod
