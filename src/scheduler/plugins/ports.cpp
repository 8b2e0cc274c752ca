// Host ports: one pod a node, address and protocol.
#include <algorithm>

#include "scheduler/plugins/plugins.h"

namespace estiba::scheduler {

Prepared prepare_ports(const Cluster&, const Demand& pod, const PluginArgs&) { return {.skip = pod.ports.empty()}; }

Verdict check_ports(const Demand& pod, const PluginState*, const NodeState& node, Reasons* why) {
  for (const HostPort& wanted : pod.ports)
    if (std::ranges::any_of(node.ports, [&](const HostPort& taken) { return wanted.conflicts(taken); }))
      return refuse(why, Verdict::unschedulable, "node(s) didn't have free ports for the requested pod ports");
  return Verdict::fits;
}

}  // namespace estiba::scheduler
