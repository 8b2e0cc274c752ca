// Node name and spec.unschedulable.
#include "client/tolerations.h"
#include "scheduler/plugins/plugins.h"

namespace estiba::scheduler {

static bool refuse(std::vector<std::string>* why, const char* reason) {
  if (why) why->emplace_back(reason);
  return false;
}

bool filter_unschedulable(const Demand& pod, const NodeState& node, std::vector<std::string>* why) {
  if (!node.typed().spec.unschedulable.value_or(false)) return true;
  static const model::core_v1::Taint taint{.key = "node.kubernetes.io/unschedulable", .effect = "NoSchedule"};
  return client::tolerates(pod.typed().spec.tolerations, taint) || refuse(why, "node(s) were unschedulable");
}

bool filter_node_name(const Demand& pod, const NodeState& node, std::vector<std::string>* why) {
  const std::string& wanted = pod.typed().spec.nodeName;
  return wanted.empty() || wanted == node.name || refuse(why, "node(s) didn't match the requested node name");
}

}  // namespace estiba::scheduler
