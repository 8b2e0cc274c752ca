// Node groups for tests.
#pragma once
#include <string>

#include "autoscale/node_groups.h"

namespace estiba::autoscale::testing {

inline NodeGroup group(std::string name, std::string cpu, std::string memory, int64_t max, int64_t priority = 0) {
  NodeGroup out{.name = std::move(name), .max = max, .priority = priority};
  out.node.allocatable = {{"cpu", std::move(cpu)}, {"memory", std::move(memory)}, {"pods", "10"}};
  out.node.labels[std::string(group_label)] = out.name;
  return out;
}

}  // namespace estiba::autoscale::testing
