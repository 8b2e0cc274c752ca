// Claims go where their volumes are, or can be had (Kubernetes' VolumeBinding).
#include "scheduler/plugins/plugins.h"
#include "scheduler/volumes.h"

namespace estiba::scheduler {

namespace {

class BindingState : public PluginState {
 public:
  explicit BindingState(std::shared_ptr<const PodVolumes> volumes) : volumes_(std::move(volumes)) {}
  bool fits(const NodeState& node, Reasons* why) const { return volumes_->fits(node, why, nullptr); }
  std::unique_ptr<PluginState> copy() const override { return std::make_unique<BindingState>(volumes_); }
  // Volumes stay with their claims whoever goes.
  void change(const Demand&, const NodeState&, int) override {}

 private:
  std::shared_ptr<const PodVolumes> volumes_;
};

}  // namespace

Prepared prepare_volume_binding(const Cluster& cluster, const Demand& pod, const PluginArgs&) {
  if (pod.typed().spec.volumes.empty()) return {.skip = true};
  auto volumes = std::make_shared<const PodVolumes>(cluster, pod);
  if (!volumes->refusal().empty()) return {.refusal = volumes->refusal()};
  if (volumes->none()) return {.skip = true};
  return {.state = std::make_unique<BindingState>(std::move(volumes))};
}

Verdict check_volume_binding(const Demand&, const PluginState* state, const NodeState& node, Reasons* why) {
  return static_cast<const BindingState*>(state)->fits(node, why) ? Verdict::fits : Verdict::unresolvable;
}

}  // namespace estiba::scheduler
