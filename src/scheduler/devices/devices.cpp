#include "scheduler/devices/devices.h"

#include <algorithm>

namespace estiba::scheduler::devices {

using model::ObjectRef;

Devices::Devices(client::Informers& informers)
    : claims_(&informers.of(client::resource_claims)),
      slices_(&informers.of(client::resource_slices)),
      classes_(&informers.of(client::device_classes)),
      taint_rules_(&informers.of(client::device_taint_rules)) {
  claims_->on_change([this](const ObjectRef& before, const ObjectRef& after) { claim_changed(before, after); });
  slices_->on_change([this](const ObjectRef& before, const ObjectRef& after) { slice_changed(before, after); });
  classes_->on_change([this](const ObjectRef& before, const ObjectRef& after) { class_changed(before, after); });
  taint_rules_->on_change([this](const ObjectRef& before, const ObjectRef& after) { taint_rule_changed(before, after); });
}

void Devices::claim_changed(const ObjectRef& before, const ObjectRef& after) {
  changed();
  const std::string key = client::key_of(after ? after : before);
  const ClaimPtr old = claim(key);
  if (!after) {
    known_.erase(key);
    stock_.ledger.set(before.meta().uid, {});
    pending_.erase(before.meta().uid);
  } else {
    const ClaimPtr now = read_claim(after);
    if (!now) return;
    known_[key] = now;
    // While its allocation is under way, what is being written counts.
    if (now->allocated() || !is_pending(after.meta().uid)) stock_.ledger.set(after.meta().uid, now->devices);
  }
  if (old && old->allocated() && (!after || !known_[key]->allocated())) {
    if (changes_.devices) changes_.devices();
  } else if (changes_.claim) {
    changes_.claim(key);
  }
}

void Devices::slice_changed(const ObjectRef& before, const ObjectRef& after) {
  changed();
  if (!after) return stock_.inventory.remove(before.meta().name);
  stock_.inventory.set(after);
  if (changes_.devices) changes_.devices();
}

void Devices::class_changed(const ObjectRef& before, const ObjectRef& after) {
  changed();
  if (!after) {
    stock_.classes.erase(before.meta().name);
    return;
  }
  if (auto read = read_class(after)) stock_.classes[after.meta().name] = std::move(read);
  if (changes_.devices) changes_.devices();
}

void Devices::taint_rule_changed(const ObjectRef& before, const ObjectRef& after) {
  changed();
  if (before) stock_.taint_rules.erase(before.meta().name);
  if (after)
    if (auto rule = client::read_device_taint_rule(after)) stock_.taint_rules.insert_or_assign(after.meta().name, std::move(*rule));
  if (changes_.devices) changes_.devices();
}

ClaimPtr Devices::claim(const std::string& key) const {
  const auto found = known_.find(key);
  return found == known_.end() ? nullptr : found->second;
}

std::shared_ptr<const PodDevices> Devices::of(const Demand& pod) const {
  if (!last_ || last_->pod().object != pod.pod.object) last_ = std::make_shared<const PodDevices>(*this, stock_, pod);
  return last_;
}

void Devices::begin(const std::string& claim_uid, std::vector<DeviceUse> uses) {
  changed();
  pending_[claim_uid] = true;
  stock_.ledger.set(claim_uid, std::move(uses));
}

void Devices::end(const std::string& claim_uid, const std::string& key) {
  changed();
  if (pending_.erase(claim_uid) == 0) return;
  const ClaimPtr now = claim(key);
  stock_.ledger.set(claim_uid, now && now->meta().uid == claim_uid ? now->devices : std::vector<DeviceUse>{});
  if (now && now->allocated()) {
    if (changes_.claim) changes_.claim(key);
  } else if (changes_.devices) {
    changes_.devices();
  }
}

}  // namespace estiba::scheduler::devices
