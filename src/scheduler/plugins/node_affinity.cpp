// spec.nodeSelector and node affinity, required and preferred.
#include "client/node_selectors.h"
#include "scheduler/plugins/plugins.h"

namespace estiba::scheduler {

bool filter_node_affinity(const Demand& pod, const NodeState& node, std::vector<std::string>* why) {
  const bool fits = client::selects(pod.typed().spec, node.node.meta());
  if (!fits && why) why->emplace_back("node(s) didn't match Pod's node affinity/selector");
  return fits;
}

int64_t score_node_affinity(const Demand& pod, const NodeState& node) {
  const auto& affinity = pod.typed().spec.affinity;
  if (!affinity || !affinity->nodeAffinity) return 0;
  int64_t sum = 0;
  for (const auto& preferred : affinity->nodeAffinity->preferredDuringSchedulingIgnoredDuringExecution)
    if (client::matches(preferred.preference, node.node.meta())) sum += preferred.weight;
  return sum;
}

}  // namespace estiba::scheduler
