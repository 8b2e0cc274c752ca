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

static const model::core_v1::NodeSelector* added_by(const PluginArgs& args) {
  if (!args.added_affinity || !args.added_affinity->requiredDuringSchedulingIgnoredDuringExecution) return nullptr;
  return &*args.added_affinity->requiredDuringSchedulingIgnoredDuringExecution;
}

Prepared prepare_node_affinity(const Cluster&, const Demand& pod, const PluginArgs& args) {
  const auto* affinity = affinity_of(pod);
  Prepared made;
  if (added_by(args)) made.state = std::make_unique<ArgsState>(args);
  if (!affinity || !affinity->requiredDuringSchedulingIgnoredDuringExecution) {
    made.skip = pod.typed().spec.nodeSelector.empty() && !made.state;
    return made;
  }
  // Pods of a DaemonSet name their node: then no other has to be looked at.
  std::vector<std::string> names;
  for (const NodeSelectorTerm& term : affinity->requiredDuringSchedulingIgnoredDuringExecution->nodeSelectorTerms) {
    auto named = named_by(term);
    if (!named) return made;
    for (std::string& name : *named)
      if (std::ranges::find(names, name) == names.end()) names.push_back(std::move(name));
  }
  if (names.empty()) return {.refusal = "pod affinity terms conflict"};
  made.only = std::move(names);
  return made;
}

Verdict check_node_affinity(const Demand& pod, const PluginState* state, const NodeState& node, Reasons* why) {
  if (state) {
    const auto& terms = added_by(static_cast<const ArgsState*>(state)->args)->nodeSelectorTerms;
    if (std::ranges::none_of(terms, [&](const NodeSelectorTerm& term) { return client::matches(term, node.node.meta()); }))
      return refuse(why, Verdict::unresolvable, "node(s) didn't match scheduler-enforced node affinity");
  }
  if (client::selects(pod.typed().spec, node.node.meta())) return Verdict::fits;
  return refuse(why, Verdict::unresolvable, "node(s) didn't match Pod's node affinity/selector");
}

bool score_node_affinity(const Cluster&, const Demand& pod, const PluginArgs& args, Nodes nodes, std::span<int64_t> scores) {
  const model::core_v1::NodeAffinity* const all[] = {affinity_of(pod), args.added_affinity ? &*args.added_affinity : nullptr};
  const auto says_nothing = [](const auto* affinity) {
    return !affinity || affinity->preferredDuringSchedulingIgnoredDuringExecution.empty();
  };
  if (std::ranges::all_of(all, says_nothing)) return false;
  for (size_t i = 0; i < nodes.size(); ++i) {
    scores[i] = 0;
    for (const auto* affinity : all) {
      if (!affinity) continue;
      for (const auto& preferred : affinity->preferredDuringSchedulingIgnoredDuringExecution)
        if (client::matches(preferred.preference, nodes[i]->node.meta())) scores[i] += preferred.weight;
    }
  }
  scale_to_best(scores);
  return true;
}

}  // namespace estiba::scheduler
