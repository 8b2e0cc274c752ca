// Taints: NoSchedule and NoExecute keep pods away, PreferNoSchedule counts against a node.
#include "client/tolerations.h"
#include "scheduler/plugins/plugins.h"

namespace estiba::scheduler {

bool filter_taints(const Demand& pod, const NodeState& node, std::vector<std::string>* why) {
  for (const auto& taint : node.typed().spec.taints) {
    if (taint.effect != "NoSchedule" && taint.effect != "NoExecute") continue;
    if (client::tolerates(pod.typed().spec.tolerations, taint)) continue;
    if (why) why->push_back("node(s) had untolerated taint {" + taint.key + ": " + taint.value + "}");
    return false;
  }
  return true;
}

int64_t score_taints(const Demand& pod, const NodeState& node) {
  int64_t against = 0;
  for (const auto& taint : node.typed().spec.taints)
    if (taint.effect == "PreferNoSchedule" && !client::tolerates(pod.typed().spec.tolerations, taint)) ++against;
  return against;
}

}  // namespace estiba::scheduler
