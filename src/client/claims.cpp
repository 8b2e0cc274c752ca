#include "client/claims.h"

#include "model/quantity.h"

namespace estiba::client {

using model::ObjectRef;
using model::core_v1::PersistentVolume;
using model::core_v1::PersistentVolumeClaim;

std::string class_of_claim(const ObjectRef& claim) {
  if (const std::string_view old = claim.meta().annotation(beta_storage_class); !old.empty()) return std::string(old);
  return claim.as<PersistentVolumeClaim>().spec.storageClassName.value_or("");
}

std::string class_of_volume(const ObjectRef& volume) {
  if (const std::string_view old = volume.meta().annotation(beta_storage_class); !old.empty()) return std::string(old);
  return volume.as<PersistentVolume>().spec.storageClassName;
}

std::vector<std::string_view> attributes_classes_of_claim(const model::Object& claim) {
  const auto& typed = claim.as<PersistentVolumeClaim>();
  std::vector<std::string_view> out{typed.spec.volumeAttributesClassName, typed.status.currentVolumeAttributesClassName};
  if (typed.status.modifyVolumeStatus) out.emplace_back(typed.status.modifyVolumeStatus->targetVolumeAttributesClassName);
  std::erase(out, std::string_view());
  return out;
}

bool is_bound_to(const ObjectRef& volume, const ObjectRef& claim) {
  const auto& reference = volume.as<PersistentVolume>().spec.claimRef;
  if (!reference || reference->name != claim.meta().name || reference->namespace_ != claim.meta().ns) return false;
  return reference->uid.empty() || reference->uid == claim.meta().uid;
}

static int64_t storage_in(const std::map<std::string, std::string>& amounts) {
  const auto found = amounts.find("storage");
  return found == amounts.end() ? 0 : model::quantity_to_int64(found->second);
}

int64_t requested_bytes(const ObjectRef& claim) {
  const auto& resources = claim.as<PersistentVolumeClaim>().spec.resources;
  return resources ? storage_in(resources->requests) : 0;
}

int64_t capacity_bytes(const ObjectRef& volume) { return storage_in(volume.as<PersistentVolume>().spec.capacity); }

std::string claim_of(const model::Meta& pod, const model::core_v1::Volume& volume) {
  if (volume.persistentVolumeClaim) return volume.persistentVolumeClaim->claimName;
  if (volume.ephemeral) return pod.name + "-" + volume.name;
  return {};
}

bool is_made_for(const model::Meta& claim, const model::Meta& pod) {
  const model::Owner* owner = claim.controller();
  return owner && owner->uid == pod.uid && owner->kind == "Pod";
}

}  // namespace estiba::client
