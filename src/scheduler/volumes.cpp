#include "scheduler/volumes.h"

#include <algorithm>

#include "client/node_selectors.h"
#include "client/selectors.h"
#include "model/quantity.h"
#include "model/types/storage_v1.h"

namespace estiba::scheduler {

using model::ObjectRef;
using model::core_v1::PersistentVolume;
using model::core_v1::PersistentVolumeClaim;
using model::storage_v1::StorageClass;

bool is_bound(const ObjectRef& claim) {
  return !claim.as<PersistentVolumeClaim>().spec.volumeName.empty() && client::find_label(claim.meta().annotations, client::bind_completed);
}

bool reaches(const NodeState& node, const ObjectRef& volume) {
  const auto& affinity = volume.as<PersistentVolume>().spec.nodeAffinity;
  if (!affinity || !affinity->required) return true;
  return std::ranges::any_of(affinity->required->nodeSelectorTerms,
                             [&](const auto& term) { return client::matches(term, node.node.meta()); });
}

PodVolumes::PodVolumes(const Cluster& cluster, const Demand& pod) : cluster_(cluster), pod_(pod) {
  for (const auto& volume : pod.typed().spec.volumes)
    if (refusal_.empty()) add(volume);
  if (refusal_.empty() && waits_) refusal_ = "pod has unbound immediate PersistentVolumeClaims";
  std::ranges::stable_sort(delayed_, {}, client::requested_bytes);
}

void PodVolumes::add(const model::core_v1::Volume& volume) {
  const model::Meta& meta = pod_.pod.meta();
  const std::string name = client::claim_of(meta, volume);
  if (name.empty()) return;
  const Listers& listers = cluster_.listers;
  const ObjectRef claim = listers.claims ? listers.claims->get(meta.ns, name) : ObjectRef{};
  if (!claim) {
    refusal_ = volume.ephemeral ? "waiting for ephemeral volume controller to create the persistentvolumeclaim \"" + name + "\""
                                : "persistentvolumeclaim \"" + name + "\" not found";
    return;
  }
  const auto& typed = claim.as<PersistentVolumeClaim>();
  if (typed.status.phase == "Lost") {
    refusal_ = "persistentvolumeclaim \"" + name + "\" bound to non-existent persistentvolume \"" + typed.spec.volumeName + "\"";
  } else if (!claim.meta().deletion_timestamp.empty()) {
    refusal_ = "persistentvolumeclaim \"" + name + "\" is being deleted";
  } else if (volume.ephemeral && !client::is_made_for(claim.meta(), meta)) {
    refusal_ = "PVC " + meta.ns + "/" + name + " was not created for pod " + meta.ns + "/" + meta.name + " (pod is not owner)";
  } else if (is_bound(claim)) {
    bound_.push_back(claim);
  } else {
    const ObjectRef of = listers.classes ? listers.classes->get(client::class_of_claim(claim)) : ObjectRef{};
    const bool delayed = of && of.as<StorageClass>().volumeBindingMode == "WaitForFirstConsumer";
    if (delayed && typed.spec.volumeName.empty()) delayed_.push_back(claim);
    else waits_ = true;
  }
}

bool PodVolumes::fits(const NodeState& node, Reasons* why, VolumePlan* plan) const {
  bool reached = true, found = true, room = true, exist = true;
  for (const ObjectRef& claim : bound_) {
    const ObjectRef volume =
        cluster_.listers.volumes ? cluster_.listers.volumes->get(claim.as<PersistentVolumeClaim>().spec.volumeName) : ObjectRef{};
    exist = bool(volume);
    reached = !volume || reaches(node, volume);
    if (!exist || !reached) break;
  }
  VolumePlan made;
  for (const ObjectRef& claim : delayed_) {
    const std::string chosen = cluster_.node_of_claim(claim);
    if (!chosen.empty() && chosen != node.name) {
      found = false;
      break;
    }
    const ObjectRef volume = chosen.empty() ? match(claim, node, made) : ObjectRef{};
    if (volume) {
      made.bindings.push_back({volume, claim});
      continue;
    }
    const Provision provision = can_provision(claim, node);
    found &= provision != Provision::impossible;
    room &= provision != Provision::no_room;
    if (provision != Provision::possible) break;
    made.provisions.push_back(claim);
  }
  if (reached && found && room && exist) {
    if (plan) *plan = std::move(made);
    return true;
  }
  if (why) {
    if (!reached) why->add("node(s) didn't match PersistentVolume's node affinity");
    if (!found) why->add("node(s) didn't find available persistent volumes to bind");
    if (!room) why->add("node(s) did not have enough free storage");
    if (!exist) why->add("node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)");
  }
  return false;
}

static bool has_modes(const PersistentVolume& volume, const PersistentVolumeClaim& claim) {
  return std::ranges::all_of(claim.spec.accessModes, [&](const std::string& mode) {
    return std::ranges::find(volume.spec.accessModes, mode) != volume.spec.accessModes.end();
  });
}

// One that was made for the claim, else the smallest of those that fit.
ObjectRef PodVolumes::match(const ObjectRef& claim, const NodeState& node, const VolumePlan& taken) const {
  if (!cluster_.listers.volumes) return {};
  const auto& asks = claim.as<PersistentVolumeClaim>();
  const auto mode = [](const std::string& text) { return text.empty() ? std::string_view("Filesystem") : std::string_view(text); };
  const std::string wanted = client::class_of_claim(claim);
  const int64_t bytes = client::requested_bytes(claim);
  ObjectRef best, own;
  bool own_elsewhere = false;
  cluster_.listers.volumes->each([&](const ObjectRef& volume) {
    const auto& has = volume.as<PersistentVolume>();
    const bool ours = client::is_bound_to(volume, claim);
    if ((has.spec.claimRef && !ours) || !cluster_.is_free(volume, claim)) return;
    if (std::ranges::any_of(taken.bindings, [&](const auto& binding) { return binding.volume.meta().name == volume.meta().name; })) return;
    if (client::capacity_bytes(volume) < bytes || mode(has.spec.volumeMode) != mode(asks.spec.volumeMode) ||
        has.spec.volumeAttributesClassName != asks.spec.volumeAttributesClassName || !volume.meta().deletion_timestamp.empty())
      return;
    if (ours) {
      if (reaches(node, volume)) own = volume;
      else own_elsewhere = true;
      return;
    }
    if (has.status.phase != "Available" || client::class_of_volume(volume) != wanted || !has_modes(has, asks)) return;
    if (asks.spec.selector && !client::matches(*asks.spec.selector, volume.meta().labels)) return;
    if (best && client::capacity_bytes(best) <= client::capacity_bytes(volume)) return;
    if (reaches(node, volume)) best = volume;
  });
  if (own) return own;
  return own_elsewhere ? ObjectRef{} : best;
}

PodVolumes::Provision PodVolumes::can_provision(const ObjectRef& claim, const NodeState& node) const {
  const ObjectRef of = cluster_.listers.classes->get(client::class_of_claim(claim));
  const auto& typed = of.as<StorageClass>();
  if (typed.provisioner.empty() || typed.provisioner == "kubernetes.io/no-provisioner") return Provision::impossible;
  const auto& labels = node.node.meta().labels;
  const bool allowed = typed.allowedTopologies.empty() || std::ranges::any_of(typed.allowedTopologies, [&](const auto& term) {
                         return std::ranges::all_of(term.matchLabelExpressions, [&](const auto& expression) {
                           const std::string* value = client::find_label(labels, expression.key);
                           return value && std::ranges::find(expression.values, *value) != expression.values.end();
                         });
                       });
  if (!allowed) return Provision::impossible;
  return has_capacity(claim, of, node) ? Provision::possible : Provision::no_room;
}

// Drivers that tell their capacity are asked for room.
bool PodVolumes::has_capacity(const ObjectRef& claim, const ObjectRef& storage_class, const NodeState& node) const {
  const Listers& listers = cluster_.listers;
  const ObjectRef driver = listers.csi_drivers ? listers.csi_drivers->get(storage_class.as<StorageClass>().provisioner) : ObjectRef{};
  const int64_t bytes = client::requested_bytes(claim);
  if (bytes == 0 || !driver || !driver.as<model::storage_v1::CSIDriver>().spec.storageCapacity.value_or(false) || !listers.capacities)
    return true;
  bool enough = false;
  listers.capacities->each([&](const ObjectRef& object) {
    const auto& capacity = object.as<model::storage_v1::CSIStorageCapacity>();
    const std::string& limit = capacity.maximumVolumeSize.empty() ? capacity.capacity : capacity.maximumVolumeSize;
    enough |= capacity.storageClassName == storage_class.meta().name && !limit.empty() && model::quantity_to_int64(limit) >= bytes &&
              capacity.nodeTopology && client::matches(*capacity.nodeTopology, node.node.meta().labels);
  });
  return enough;
}

}  // namespace estiba::scheduler
