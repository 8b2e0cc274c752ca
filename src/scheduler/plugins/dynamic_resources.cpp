// Pods go where the devices of their claims are, or can be had (Kubernetes' DynamicResources).
#include "scheduler/devices/devices.h"
#include "scheduler/plugins/plugins.h"

namespace estiba::scheduler {

namespace {

class DeviceState : public PluginState {
 public:
  explicit DeviceState(std::shared_ptr<const devices::PodDevices> devices) : devices_(std::move(devices)) {}
  const devices::PodDevices& devices() const { return *devices_; }
  std::unique_ptr<PluginState> copy() const override { return std::make_unique<DeviceState>(devices_); }
  // Claims keep their devices until their pods have ended.
  void change(const Demand&, const NodeState&, int) override {}

 private:
  std::shared_ptr<const devices::PodDevices> devices_;
};

}  // namespace

Prepared prepare_dynamic_resources(const Cluster& cluster, const Demand& pod, const PluginArgs&) {
  if (pod.typed().spec.resourceClaims.empty() || !cluster.devices) return {.skip = true};
  auto devices = cluster.devices->of(pod);
  if (!devices->refusal().empty()) return {.refusal = devices->refusal()};
  if (devices->none()) return {.skip = true};
  return {.state = std::make_unique<DeviceState>(std::move(devices))};
}

Verdict check_dynamic_resources(const Demand&, const PluginState* state, const NodeState& node, Reasons* why) {
  const std::string& missing = static_cast<const DeviceState*>(state)->devices().misses(node);
  return missing.empty() ? Verdict::fits : refuse(why, Verdict::unresolvable, missing);
}

bool score_dynamic_resources(const Cluster& cluster, const Demand& pod, const PluginArgs&, Nodes nodes, std::span<int64_t> scores) {
  if (pod.typed().spec.resourceClaims.empty() || !cluster.devices) return false;
  const auto devices = cluster.devices->of(pod);
  if (!devices->has_alternatives()) return false;
  for (size_t i = 0; i < nodes.size(); ++i) scores[i] = devices->score(*nodes[i]);
  scale_to_best(scores);
  return true;
}

}  // namespace estiba::scheduler
