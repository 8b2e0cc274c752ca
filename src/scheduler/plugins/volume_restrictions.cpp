// Volumes that one pod at a time may use: claims that are ReadWriteOncePod anywhere, some network disks on a node (Kubernetes'
// VolumeRestrictions).
#include <algorithm>

#include "scheduler/plugins/plugins.h"
#include "scheduler/volumes.h"

namespace estiba::scheduler {

namespace {

using model::core_v1::Volume;

class RestrictionState : public PluginState {
 public:
  RestrictionState(std::vector<std::string> exclusive, int64_t users, bool disks)
      : exclusive_(std::move(exclusive)), users_(users), disks_(disks) {}
  std::unique_ptr<PluginState> copy() const override { return std::make_unique<RestrictionState>(*this); }
  void change(const Demand& other, const NodeState&, int by) override {
    for (const std::string& claim : other.claims) users_ += std::ranges::find(exclusive_, claim) != exclusive_.end() ? by : 0;
  }
  bool in_use() const { return users_ > 0; }
  bool has_disks() const { return disks_; }

 private:
  std::vector<std::string> exclusive_;  // claims
  int64_t users_;                       // other pods that have them
  bool disks_;
};

bool is_disk(const Volume& volume) { return volume.gcePersistentDisk || volume.awsElasticBlockStore || volume.rbd || volume.iscsi; }

template <class Source>
bool both_read_only(const Source& a, const Source& b) {
  return a.readOnly.value_or(false) && b.readOnly.value_or(false);
}

bool conflict(const Volume& a, const Volume& b) {
  if (a.gcePersistentDisk && b.gcePersistentDisk && a.gcePersistentDisk->pdName == b.gcePersistentDisk->pdName)
    return !both_read_only(*a.gcePersistentDisk, *b.gcePersistentDisk);
  if (a.awsElasticBlockStore && b.awsElasticBlockStore) return a.awsElasticBlockStore->volumeID == b.awsElasticBlockStore->volumeID;
  if (a.iscsi && b.iscsi && a.iscsi->iqn == b.iscsi->iqn) return !both_read_only(*a.iscsi, *b.iscsi);
  if (!a.rbd || !b.rbd || a.rbd->pool != b.rbd->pool || a.rbd->image != b.rbd->image) return false;
  const bool same_ceph = std::ranges::any_of(
      a.rbd->monitors, [&](const std::string& monitor) { return std::ranges::find(b.rbd->monitors, monitor) != b.rbd->monitors.end(); });
  return same_ceph && !both_read_only(*a.rbd, *b.rbd);
}

bool disk_in_use(const Demand& pod, const NodeState& node) {
  for (const Volume& volume : pod.typed().spec.volumes) {
    if (!is_disk(volume)) continue;
    for (const DemandPtr& other : node.placed)
      if (std::ranges::any_of(other->typed().spec.volumes, [&](const Volume& theirs) { return conflict(volume, theirs); })) return true;
  }
  return false;
}

}  // namespace

Prepared prepare_volume_restrictions(const Cluster& cluster, const Demand& pod, const PluginArgs&) {
  const auto& volumes = pod.typed().spec.volumes;
  const bool disks = std::ranges::any_of(volumes, is_disk);
  std::vector<std::string> exclusive;
  int64_t users = 0;
  for (const std::string& name : pod.claims) {
    const model::ObjectRef claim = cluster.listers.claims ? cluster.listers.claims->get(name) : model::ObjectRef{};
    if (!claim) continue;  // refused by VolumeBinding
    const auto& modes = claim.as<model::core_v1::PersistentVolumeClaim>().spec.accessModes;
    if (std::ranges::find(modes, "ReadWriteOncePod") == modes.end()) continue;
    exclusive.push_back(name);
    users += int64_t(cluster.users_of_claim(name));
  }
  if (!disks && exclusive.empty()) return {.skip = true};
  return {.state = std::make_unique<RestrictionState>(std::move(exclusive), users, disks)};
}

Verdict check_volume_restrictions(const Demand& pod, const PluginState* state, const NodeState& node, Reasons* why) {
  const auto& restrictions = *static_cast<const RestrictionState*>(state);
  if (restrictions.has_disks() && disk_in_use(pod, node)) return refuse(why, Verdict::unschedulable, "node(s) had no available disk");
  if (!restrictions.in_use()) return Verdict::fits;
  return refuse(why, Verdict::unschedulable,
                "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod");
}

}  // namespace estiba::scheduler
