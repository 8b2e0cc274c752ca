#include "client/node_selectors.h"

#include <algorithm>

#include "base/strings.h"
#include "client/selectors.h"

namespace estiba::client {

using model::core_v1::NodeSelectorRequirement;
using model::core_v1::NodeSelectorTerm;

static bool meets(const NodeSelectorRequirement& requirement, const std::string* value) {
  const auto listed = [&] { return std::find(requirement.values.begin(), requirement.values.end(), *value) != requirement.values.end(); };
  if (requirement.operator_ == "In") return value && listed();
  if (requirement.operator_ == "NotIn") return !value || !listed();
  if (requirement.operator_ == "Exists") return value != nullptr;
  if (requirement.operator_ == "DoesNotExist") return value == nullptr;
  if (!value || requirement.values.size() != 1) return false;
  const auto is = parse_number<int64_t>(*value), limit = parse_number<int64_t>(requirement.values[0]);
  if (!is || !limit) return false;
  return requirement.operator_ == "Gt" ? *is > *limit : requirement.operator_ == "Lt" && *is < *limit;
}

bool matches(const NodeSelectorTerm& term, const model::Meta& node) {
  if (term.matchExpressions.empty() && term.matchFields.empty()) return false;
  for (const auto& requirement : term.matchExpressions)
    if (!meets(requirement, find_label(node.labels, requirement.key))) return false;
  for (const auto& requirement : term.matchFields)
    if (requirement.key != "metadata.name" || !meets(requirement, &node.name)) return false;
  return true;
}

bool selects(const model::core_v1::PodSpec& pod, const model::Meta& node) {
  if (!matches(pod.nodeSelector, node.labels)) return false;
  if (!pod.affinity || !pod.affinity->nodeAffinity || !pod.affinity->nodeAffinity->requiredDuringSchedulingIgnoredDuringExecution)
    return true;
  const auto& terms = pod.affinity->nodeAffinity->requiredDuringSchedulingIgnoredDuringExecution->nodeSelectorTerms;
  return std::any_of(terms.begin(), terms.end(), [&](const NodeSelectorTerm& term) { return matches(term, node); });
}

}  // namespace estiba::client
