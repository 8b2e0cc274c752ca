// spec.nodeSelector and node affinity, required and preferred.
#include <algorithm>

#include "client/node_selectors.h"
#include "scheduler/plugins/plugins.h"

namespace estiba::scheduler {

using model::core_v1::NodeSelectorTerm;

static const model::core_v1::NodeAffinity* affinity_of(const Demand& pod) {
  const auto& affinity = pod.typed().spec.affinity;
  return affinity && affinity->nodeAffinity ? &*affinity->nodeAffinity : nullptr;
}

// The names that a term allows, when it names nodes.
static std::optional<std::vector<std::string>> named_by(const NodeSelectorTerm& term) {
  std::optional<std::vector<std::string>> names;
  for (const auto& field : term.matchFields) {
    if (field.key != "metadata.name" || field.operator_ != "In") continue;
    if (!names) names = field.values;
    else std::erase_if(*names, [&](const std::string& name) { return std::ranges::find(field.values, name) == field.values.end(); });
  }
  return names;
}

Prepared prepare_node_affinity(const Cluster&, const Demand& pod) {
  const auto* affinity = affinity_of(pod);
  if (!affinity || !affinity->requiredDuringSchedulingIgnoredDuringExecution) return {.skip = pod.typed().spec.nodeSelector.empty()};
  // Pods of a DaemonSet name their node: then no other has to be looked at.
  std::vector<std::string> names;
  for (const NodeSelectorTerm& term : affinity->requiredDuringSchedulingIgnoredDuringExecution->nodeSelectorTerms) {
    auto named = named_by(term);
    if (!named) return {};
    for (std::string& name : *named)
      if (std::ranges::find(names, name) == names.end()) names.push_back(std::move(name));
  }
  if (names.empty()) return {.refusal = "pod affinity terms conflict"};
  return {.only = std::move(names)};
}

Verdict check_node_affinity(const Demand& pod, const PluginState*, const NodeState& node, Reasons* why) {
  if (client::selects(pod.typed().spec, node.node.meta())) return Verdict::fits;
  return refuse(why, Verdict::unresolvable, "node(s) didn't match Pod's node affinity/selector");
}

bool score_node_affinity(const Cluster&, const Demand& pod, Nodes nodes, std::span<int64_t> scores) {
  const auto* affinity = affinity_of(pod);
  if (!affinity || affinity->preferredDuringSchedulingIgnoredDuringExecution.empty()) return false;
  for (size_t i = 0; i < nodes.size(); ++i) {
    scores[i] = 0;
    for (const auto& preferred : affinity->preferredDuringSchedulingIgnoredDuringExecution)
      if (client::matches(preferred.preference, nodes[i]->node.meta())) scores[i] += preferred.weight;
  }
  scale_to_best(scores);
  return true;
}

}  // namespace estiba::scheduler
