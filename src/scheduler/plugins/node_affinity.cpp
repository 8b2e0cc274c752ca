// spec.nodeSelector and node affinity, required and preferred.
#include "base/strings.h"
#include "client/selectors.h"
#include "scheduler/plugins/plugins.h"

namespace estiba::scheduler {

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

// A term without requirements matches nothing.
static bool matches(const NodeSelectorTerm& term, const NodeState& node) {
  if (term.matchExpressions.empty() && term.matchFields.empty()) return false;
  for (const auto& requirement : term.matchExpressions)
    if (!meets(requirement, client::find_label(node.node.meta().labels, requirement.key))) return false;
  for (const auto& requirement : term.matchFields)
    if (requirement.key != "metadata.name" || !meets(requirement, &node.name)) return false;
  return true;
}

static const model::core_v1::NodeAffinity* affinity_of(const Demand& pod) {
  const auto& affinity = pod.typed().spec.affinity;
  return affinity && affinity->nodeAffinity ? &*affinity->nodeAffinity : nullptr;
}

bool filter_node_affinity(const Demand& pod, const NodeState& node, std::vector<std::string>* why) {
  bool fits = client::matches(pod.typed().spec.nodeSelector, node.node.meta().labels);
  const auto* affinity = affinity_of(pod);
  if (fits && affinity && affinity->requiredDuringSchedulingIgnoredDuringExecution) {
    const auto& terms = affinity->requiredDuringSchedulingIgnoredDuringExecution->nodeSelectorTerms;
    fits = std::any_of(terms.begin(), terms.end(), [&](const NodeSelectorTerm& term) { return matches(term, node); });
  }
  if (!fits && why) why->emplace_back("node(s) didn't match Pod's node affinity/selector");
  return fits;
}

int64_t score_node_affinity(const Demand& pod, const NodeState& node) {
  const auto* affinity = affinity_of(pod);
  if (!affinity) return 0;
  int64_t sum = 0;
  for (const auto& preferred : affinity->preferredDuringSchedulingIgnoredDuringExecution)
    if (matches(preferred.preference, node)) sum += preferred.weight;
  return sum;
}

}  // namespace estiba::scheduler
