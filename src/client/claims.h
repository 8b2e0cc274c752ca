// Claims and volumes: what those ask of them who bind, provision and place.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "model/object.h"
#include "model/types/core_v1.h"

namespace estiba::client {

// Annotations by which binder, scheduler and provisioners understand each other.
inline constexpr std::string_view bind_completed = "pv.kubernetes.io/bind-completed";
inline constexpr std::string_view bound_by_controller = "pv.kubernetes.io/bound-by-controller";
inline constexpr std::string_view provisioned_by = "pv.kubernetes.io/provisioned-by";
inline constexpr std::string_view selected_node = "volume.kubernetes.io/selected-node";
inline constexpr std::string_view storage_provisioner = "volume.kubernetes.io/storage-provisioner";
inline constexpr std::string_view beta_storage_provisioner = "volume.beta.kubernetes.io/storage-provisioner";
inline constexpr std::string_view beta_storage_class = "volume.beta.kubernetes.io/storage-class";

/// The class's name, of the old annotation where it is set; empty for none.
std::string class_of_claim(const model::ObjectRef& claim);
std::string class_of_volume(const model::ObjectRef& volume);

/// The VolumeAttributesClasses that a claim concerns: that it asks for, that it has, that it is being changed to. May have one twice.
std::vector<std::string_view> attributes_classes_of_claim(const model::Object& claim);

/// spec.claimRef names the claim, with its UID or before that is known.
bool is_bound_to(const model::ObjectRef& volume, const model::ObjectRef& claim);

/// Bytes asked for and there.
int64_t requested_bytes(const model::ObjectRef& claim);
int64_t capacity_bytes(const model::ObjectRef& volume);

/// The claim that a volume of a pod uses, or empty.
std::string claim_of(const model::Meta& pod, const model::core_v1::Volume& volume);
/// A claim of a generic ephemeral volume belongs to the pod it was made for.
bool is_made_for(const model::Meta& claim, const model::Meta& pod);

}  // namespace estiba::client
