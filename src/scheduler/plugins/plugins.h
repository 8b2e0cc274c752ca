// The functions of all plugins; table.cpp puts them in order.
#pragma once
#include "scheduler/plugin.h"

namespace estiba::scheduler {

bool filter_unschedulable(const Demand& pod, const NodeState& node, std::vector<std::string>* why);
bool filter_node_name(const Demand& pod, const NodeState& node, std::vector<std::string>* why);
bool filter_taints(const Demand& pod, const NodeState& node, std::vector<std::string>* why);
bool filter_node_affinity(const Demand& pod, const NodeState& node, std::vector<std::string>* why);
bool filter_ports(const Demand& pod, const NodeState& node, std::vector<std::string>* why);
bool filter_resources(const Demand& pod, const NodeState& node, std::vector<std::string>* why);

int64_t score_least_allocated(const Demand& pod, const NodeState& node);
int64_t score_balanced(const Demand& pod, const NodeState& node);
int64_t score_node_affinity(const Demand& pod, const NodeState& node);
int64_t score_taints(const Demand& pod, const NodeState& node);

Task<Result<void>> bind_by_api(client::Client& client, DemandPtr pod, std::string node);

}  // namespace estiba::scheduler
