#include "controllers/volume_match.h"

#include <algorithm>
#include <set>
#include <tuple>

#include "base/strings.h"
#include "client/selectors.h"
#include "controllers/claims.h"

namespace estiba::controllers {

using model::ObjectRef;
using model::core_v1::PersistentVolume;
using model::core_v1::PersistentVolumeClaim;

namespace {

std::string_view mode_of(const std::string& mode) { return mode.empty() ? std::string_view("Filesystem") : std::string_view(mode); }

bool same_mode(const ObjectRef& volume, const ObjectRef& claim) {
  return mode_of(volume.as<PersistentVolume>().spec.volumeMode) == mode_of(claim.as<PersistentVolumeClaim>().spec.volumeMode);
}

bool has_access_modes(const ObjectRef& volume, const ObjectRef& claim) {
  const auto& has = volume.as<PersistentVolume>().spec.accessModes;
  const auto& asks = claim.as<PersistentVolumeClaim>().spec.accessModes;
  return std::all_of(asks.begin(), asks.end(),
                     [&](const std::string& mode) { return std::find(has.begin(), has.end(), mode) != has.end(); });
}

bool same_attributes_class(const ObjectRef& volume, const ObjectRef& claim) {
  return volume.as<PersistentVolume>().spec.volumeAttributesClassName == claim.as<PersistentVolumeClaim>().spec.volumeAttributesClassName;
}

// Fit for a claim that it does not name.
bool is_free_for(const ObjectRef& volume, const ObjectRef& claim) {
  const auto& typed = volume.as<PersistentVolume>();
  const auto& selector = claim.as<PersistentVolumeClaim>().spec.selector;
  return typed.status.phase == "Available" && !typed.spec.claimRef && (!selector || client::matches(*selector, volume.meta().labels)) &&
         class_of_volume(volume) == class_of_claim(claim) && capacity_bytes(volume) >= requested_bytes(claim);
}

}  // namespace

Result<void> check_volume_fits(const ObjectRef& volume, const ObjectRef& claim) {
  if (!volume.meta().deletion_timestamp.empty())
    return fail(Code::invalid, "the volume is marked for deletion " + quoted(volume.meta().name));
  if (capacity_bytes(volume) < requested_bytes(claim)) return fail(Code::invalid, "requested PV is too small");
  if (class_of_volume(volume) != class_of_claim(claim)) return fail(Code::invalid, "storageClassName does not match");
  if (!same_attributes_class(volume, claim)) return fail(Code::invalid, "volumeAttributesClassName does not match");
  if (!same_mode(volume, claim)) return fail(Code::invalid, "incompatible volumeMode");
  if (!has_access_modes(volume, claim)) return fail(Code::invalid, "incompatible accessMode");
  return {};
}

ObjectRef best_volume(const client::Informer& volumes, const ObjectRef& claim, bool delayed) {
  ObjectRef named, free;
  const auto rank = [](const ObjectRef& volume) {
    return std::tuple(volume.as<PersistentVolume>().spec.accessModes.size(), capacity_bytes(volume), std::string_view(volume.meta().name));
  };
  const auto take = [&](ObjectRef& best, const ObjectRef& volume) {
    if (!best || rank(volume) < rank(best)) best = volume;
  };
  volumes.each([&](const ObjectRef& volume) {
    if (!volume.meta().deletion_timestamp.empty() || !has_access_modes(volume, claim)) return;
    if (!same_mode(volume, claim) || !same_attributes_class(volume, claim)) return;
    if (is_bound_to(volume, claim)) {
      if (capacity_bytes(volume) >= requested_bytes(claim)) take(named, volume);
    } else if (!delayed && is_free_for(volume, claim)) {
      take(free, volume);
    }
  });
  return named ? named : free;
}

}  // namespace estiba::controllers
