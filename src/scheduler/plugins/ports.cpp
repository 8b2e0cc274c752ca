// Host ports: one pod a node, address and protocol.
#include <algorithm>

#include "scheduler/plugins/plugins.h"

namespace estiba::scheduler {

bool filter_ports(const Demand& pod, const NodeState& node, std::vector<std::string>* why) {
  for (const HostPort& wanted : pod.ports) {
    if (std::none_of(node.ports.begin(), node.ports.end(), [&](const HostPort& taken) { return wanted.conflicts(taken); })) continue;
    if (why) why->emplace_back("node(s) didn't have free ports for the requested pod ports");
    return false;
  }
  return true;
}

}  // namespace estiba::scheduler
