// Node name and spec.unschedulable.
#include "client/tolerations.h"
#include "scheduler/plugins/plugins.h"

namespace estiba::scheduler {

Verdict check_unschedulable(const Demand& pod, const PluginState*, const NodeState& node, Reasons* why) {
  if (!node.unschedulable) return Verdict::fits;
  static const model::core_v1::Taint taint{.key = "node.kubernetes.io/unschedulable", .effect = "NoSchedule"};
  if (client::tolerates(pod.typed().spec.tolerations, taint)) return Verdict::fits;
  return refuse(why, Verdict::unresolvable, "node(s) were unschedulable");
}

Prepared prepare_node_name(const Cluster&, const Demand& pod, const PluginArgs&) { return {.skip = pod.typed().spec.nodeName.empty()}; }

Verdict check_node_name(const Demand& pod, const PluginState*, const NodeState& node, Reasons* why) {
  if (pod.typed().spec.nodeName == node.name) return Verdict::fits;
  return refuse(why, Verdict::unresolvable, "node(s) didn't match the requested node name");
}

}  // namespace estiba::scheduler
