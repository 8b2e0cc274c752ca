// Nodes must declare the features that a pod needs of them (KEP 5328).
#include "model/node_features.h"
#include "scheduler/plugins/plugins.h"

namespace estiba::scheduler {

namespace {

struct Needed final : PluginState {
  explicit Needed(std::vector<std::string_view> needed) : features(std::move(needed)) {}
  std::unique_ptr<PluginState> copy() const override { return std::make_unique<Needed>(*this); }
  void change(const Demand&, const NodeState&, int) override {}

  std::vector<std::string_view> features;
};

}  // namespace

Prepared prepare_declared_features(const Cluster&, const Demand& pod, const PluginArgs&) {
  std::vector<std::string_view> needed = model::node_features::needed_by(pod.typed().spec);
  if (needed.empty()) return {.skip = true};
  return {.state = std::make_unique<Needed>(std::move(needed))};
}

Verdict check_declared_features(const Demand&, const PluginState* state, const NodeState& node, Reasons* why) {
  const auto& needed = static_cast<const Needed*>(state)->features;
  if (model::node_features::missing(needed, node.typed().status.declaredFeatures).empty()) return Verdict::fits;
  return refuse(why, Verdict::unresolvable, "node(s) didn't match Pod's required features");
}

}  // namespace estiba::scheduler
