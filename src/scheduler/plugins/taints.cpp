// Taints: NoSchedule and NoExecute keep pods away, PreferNoSchedule counts against a node.
#include "client/tolerations.h"
#include "scheduler/plugins/plugins.h"

namespace estiba::scheduler {

Verdict check_taints(const Demand& pod, const PluginState*, const NodeState& node, Reasons* why) {
  if (!node.keeps_away) return Verdict::fits;
  for (const auto& taint : node.typed().spec.taints) {
    if (taint.effect != "NoSchedule" && taint.effect != "NoExecute") continue;
    if (client::tolerates(pod.typed().spec.tolerations, taint)) continue;
    if (why) why->add("node(s) had untolerated taint {" + taint.key + ": " + taint.value + "}");
    return Verdict::unresolvable;
  }
  return Verdict::fits;
}

bool score_taints(const Cluster&, const Demand& pod, const PluginArgs&, Nodes nodes, std::span<int64_t> scores) {
  bool any = false;
  for (size_t i = 0; i < nodes.size(); ++i) {
    scores[i] = 0;
    if (!nodes[i]->discourages) continue;
    for (const auto& taint : nodes[i]->typed().spec.taints)
      if (taint.effect == "PreferNoSchedule" && !client::tolerates(pod.typed().spec.tolerations, taint)) ++scores[i];
    any |= scores[i] > 0;
  }
  if (any) scale_from_worst(scores);
  return any;
}

}  // namespace estiba::scheduler
