// The functions of all plugins; table.cpp puts them in order.
#pragma once
#include "scheduler/plugin.h"

namespace estiba::scheduler {

Verdict check_unschedulable(const Demand& pod, const PluginState*, const NodeState& node, Reasons* why);
Verdict check_node_name(const Demand& pod, const PluginState*, const NodeState& node, Reasons* why);
Verdict check_taints(const Demand& pod, const PluginState*, const NodeState& node, Reasons* why);
Verdict check_node_affinity(const Demand& pod, const PluginState*, const NodeState& node, Reasons* why);
Verdict check_ports(const Demand& pod, const PluginState*, const NodeState& node, Reasons* why);
Verdict check_resources(const Demand& pod, const PluginState*, const NodeState& node, Reasons* why);
Verdict check_volume_restrictions(const Demand& pod, const PluginState* state, const NodeState& node, Reasons* why);
Verdict check_volume_limits(const Demand& pod, const PluginState* state, const NodeState& node, Reasons* why);
Verdict check_volume_binding(const Demand& pod, const PluginState* state, const NodeState& node, Reasons* why);
Verdict check_volume_zone(const Demand& pod, const PluginState* state, const NodeState& node, Reasons* why);
Verdict check_spread(const Demand& pod, const PluginState* state, const NodeState& node, Reasons* why);
Verdict check_pod_affinity(const Demand& pod, const PluginState* state, const NodeState& node, Reasons* why);

Prepared prepare_node_name(const Cluster& cluster, const Demand& pod);
Prepared prepare_node_affinity(const Cluster& cluster, const Demand& pod);
Prepared prepare_ports(const Cluster& cluster, const Demand& pod);
Prepared prepare_volume_restrictions(const Cluster& cluster, const Demand& pod);
Prepared prepare_volume_limits(const Cluster& cluster, const Demand& pod);
Prepared prepare_volume_binding(const Cluster& cluster, const Demand& pod);
Prepared prepare_volume_zone(const Cluster& cluster, const Demand& pod);
Prepared prepare_spread(const Cluster& cluster, const Demand& pod);
Prepared prepare_pod_affinity(const Cluster& cluster, const Demand& pod);

using Nodes = std::span<const NodeState* const>;
bool score_least_allocated(const Cluster& cluster, const Demand& pod, Nodes nodes, std::span<int64_t> scores);
bool score_balanced(const Cluster& cluster, const Demand& pod, Nodes nodes, std::span<int64_t> scores);
bool score_node_affinity(const Cluster& cluster, const Demand& pod, Nodes nodes, std::span<int64_t> scores);
bool score_taints(const Cluster& cluster, const Demand& pod, Nodes nodes, std::span<int64_t> scores);
bool score_images(const Cluster& cluster, const Demand& pod, Nodes nodes, std::span<int64_t> scores);
bool score_spread(const Cluster& cluster, const Demand& pod, Nodes nodes, std::span<int64_t> scores);
bool score_pod_affinity(const Cluster& cluster, const Demand& pod, Nodes nodes, std::span<int64_t> scores);

Task<Result<void>> bind_by_api(client::Client& client, DemandPtr pod, std::string node);

/// The node is refused for one reason.
inline Verdict refuse(Reasons* why, Verdict verdict, std::string_view reason) {
  if (why) why->add(reason);
  return verdict;
}

}  // namespace estiba::scheduler
