// The functions of all plugins; table.cpp puts them in order.
#pragma once
#include "scheduler/plugin.h"

namespace estiba::scheduler {

Verdict check_unschedulable(const Demand& pod, const PluginState*, const NodeState& node, Reasons* why);
Verdict check_node_name(const Demand& pod, const PluginState*, const NodeState& node, Reasons* why);
Verdict check_taints(const Demand& pod, const PluginState*, const NodeState& node, Reasons* why);
Verdict check_node_affinity(const Demand& pod, const PluginState* state, const NodeState& node, Reasons* why);
Verdict check_ports(const Demand& pod, const PluginState*, const NodeState& node, Reasons* why);
Verdict check_resources(const Demand& pod, const PluginState* state, const NodeState& node, Reasons* why);
Verdict check_volume_restrictions(const Demand& pod, const PluginState* state, const NodeState& node, Reasons* why);
Verdict check_volume_limits(const Demand& pod, const PluginState* state, const NodeState& node, Reasons* why);
Verdict check_volume_binding(const Demand& pod, const PluginState* state, const NodeState& node, Reasons* why);
Verdict check_volume_zone(const Demand& pod, const PluginState* state, const NodeState& node, Reasons* why);
Verdict check_spread(const Demand& pod, const PluginState* state, const NodeState& node, Reasons* why);
Verdict check_pod_affinity(const Demand& pod, const PluginState* state, const NodeState& node, Reasons* why);
Verdict check_dynamic_resources(const Demand& pod, const PluginState* state, const NodeState& node, Reasons* why);
Verdict check_declared_features(const Demand& pod, const PluginState* state, const NodeState& node, Reasons* why);

Prepared prepare_node_name(const Cluster& cluster, const Demand& pod, const PluginArgs& args);
Prepared prepare_node_affinity(const Cluster& cluster, const Demand& pod, const PluginArgs& args);
Prepared prepare_resources(const Cluster& cluster, const Demand& pod, const PluginArgs& args);
Prepared prepare_ports(const Cluster& cluster, const Demand& pod, const PluginArgs& args);
Prepared prepare_volume_restrictions(const Cluster& cluster, const Demand& pod, const PluginArgs& args);
Prepared prepare_volume_limits(const Cluster& cluster, const Demand& pod, const PluginArgs& args);
Prepared prepare_volume_binding(const Cluster& cluster, const Demand& pod, const PluginArgs& args);
Prepared prepare_volume_zone(const Cluster& cluster, const Demand& pod, const PluginArgs& args);
Prepared prepare_spread(const Cluster& cluster, const Demand& pod, const PluginArgs& args);
Prepared prepare_pod_affinity(const Cluster& cluster, const Demand& pod, const PluginArgs& args);
Prepared prepare_dynamic_resources(const Cluster& cluster, const Demand& pod, const PluginArgs& args);
Prepared prepare_declared_features(const Cluster& cluster, const Demand& pod, const PluginArgs& args);

using Nodes = std::span<const NodeState* const>;
bool score_resources(const Cluster& cluster, const Demand& pod, const PluginArgs& args, Nodes nodes, std::span<int64_t> scores);
bool score_balanced(const Cluster& cluster, const Demand& pod, const PluginArgs& args, Nodes nodes, std::span<int64_t> scores);
bool score_node_affinity(const Cluster& cluster, const Demand& pod, const PluginArgs& args, Nodes nodes, std::span<int64_t> scores);
bool score_taints(const Cluster& cluster, const Demand& pod, const PluginArgs& args, Nodes nodes, std::span<int64_t> scores);
bool score_images(const Cluster& cluster, const Demand& pod, const PluginArgs& args, Nodes nodes, std::span<int64_t> scores);
bool score_spread(const Cluster& cluster, const Demand& pod, const PluginArgs& args, Nodes nodes, std::span<int64_t> scores);
bool score_pod_affinity(const Cluster& cluster, const Demand& pod, const PluginArgs& args, Nodes nodes, std::span<int64_t> scores);
bool score_dynamic_resources(const Cluster& cluster, const Demand& pod, const PluginArgs& args, Nodes nodes, std::span<int64_t> scores);

Task<Result<void>> bind_by_api(client::Client& client, DemandPtr pod, std::string node);

/// What a filter needs of the profile's arguments and nothing else: it does not change with pods.
class ArgsState final : public PluginState {
 public:
  explicit ArgsState(const PluginArgs& args) : args(args) {}
  std::unique_ptr<PluginState> copy() const override { return std::make_unique<ArgsState>(*this); }
  void change(const Demand&, const NodeState&, int) override {}
  const PluginArgs& args;
};

/// The node is refused for one reason.
inline Verdict refuse(Reasons* why, Verdict verdict, std::string_view reason) {
  if (why) why->add(reason);
  return verdict;
}

}  // namespace estiba::scheduler
