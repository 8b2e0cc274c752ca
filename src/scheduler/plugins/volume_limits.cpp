// How many volumes of a driver a node can have attached, as its CSINode says (Kubernetes' NodeVolumeLimits).
#include <map>
#include <set>

#include "model/types/storage_v1.h"
#include "scheduler/plugins/plugins.h"
#include "scheduler/volumes.h"

namespace estiba::scheduler {

namespace {

using model::ObjectRef;
using model::core_v1::PersistentVolume;
using model::core_v1::PersistentVolumeClaim;

/// Volumes by driver: each once, however many pods use it.
using Attached = std::map<std::string, std::set<std::string>>;

class LimitState : public PluginState {
 public:
  LimitState(const Listers& listers, const Demand& pod) : listers_(listers) { collect(pod, wanted_); }
  std::unique_ptr<PluginState> copy() const override { return std::make_unique<LimitState>(*this); }
  void change(const Demand&, const NodeState&, int) override {}  // counted on the node itself
  bool empty() const { return wanted_.empty(); }

  bool fits(const NodeState& node) const {
    const ObjectRef csi = listers_.csi_nodes->get(node.name);
    if (!csi) return true;
    Attached attached;
    bool counted = false;
    for (const auto& driver : csi.as<model::storage_v1::CSINode>().spec.drivers) {
      const auto wanted = wanted_.find(driver.name);
      if (wanted == wanted_.end() || !driver.allocatable || !driver.allocatable->count) continue;
      if (!std::exchange(counted, true)) collect(node, attached);
      std::set<std::string>& there = attached[driver.name];
      there.insert(wanted->second.begin(), wanted->second.end());
      if (there.size() > size_t(std::max(*driver.allocatable->count, 0))) return false;
    }
    return true;
  }

 private:
  void collect(const Demand& pod, Attached& out) const {
    const model::Meta& meta = pod.pod.meta();
    for (const auto& volume : pod.typed().spec.volumes) {
      const std::string name = client::claim_of(meta, volume);
      if (name.empty()) continue;
      if (const ObjectRef claim = listers_.claims->get(meta.ns, name)) add(claim, out);
    }
  }

  void collect(const NodeState& node, Attached& out) const {
    for (const DemandPtr& pod : node.placed) collect(*pod, out);
    if (!listers_.attachments) return;
    // What is attached still, or already, without a pod.
    listers_.attachments->each([&](const ObjectRef& object) {
      const auto& spec = object.as<model::storage_v1::VolumeAttachment>().spec;
      if (spec.nodeName != node.name || spec.source.persistentVolumeName.empty()) return;
      if (const ObjectRef volume = listers_.volumes->get(spec.source.persistentVolumeName)) add_volume(volume, out);
    });
  }

  static bool add_volume(const ObjectRef& volume, Attached& out) {
    const auto& csi = volume.as<PersistentVolume>().spec.csi;
    if (csi) out[csi->driver].insert(csi->volumeHandle);
    return bool(csi);
  }

  // What has no volume yet will have one of its class's driver.
  void add(const ObjectRef& claim, Attached& out) const {
    const std::string& name = claim.as<PersistentVolumeClaim>().spec.volumeName;
    if (const ObjectRef volume = name.empty() ? ObjectRef{} : listers_.volumes->get(name)) {
      add_volume(volume, out);
    } else if (const ObjectRef of = listers_.classes->get(client::class_of_claim(claim))) {
      out[of.as<model::storage_v1::StorageClass>().provisioner].insert("\n" + client::key_of(claim));
    }
  }

  const Listers& listers_;
  Attached wanted_;
};

}  // namespace

Prepared prepare_volume_limits(const Cluster& cluster, const Demand& pod, const PluginArgs&) {
  const Listers& listers = cluster.listers;
  if (pod.typed().spec.volumes.empty() || !listers.claims || !listers.volumes || !listers.classes || !listers.csi_nodes)
    return {.skip = true};
  auto state = std::make_unique<LimitState>(listers, pod);
  if (state->empty()) return {.skip = true};
  return {.state = std::move(state)};
}

Verdict check_volume_limits(const Demand&, const PluginState* state, const NodeState& node, Reasons* why) {
  if (static_cast<const LimitState*>(state)->fits(node)) return Verdict::fits;
  return refuse(why, Verdict::unschedulable, "node(s) exceed max volume count");
}

}  // namespace estiba::scheduler
