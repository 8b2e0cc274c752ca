// Claims and volumes: what the controllers of storage ask of them.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "client/claims.h"
#include "client/informer.h"
#include "controllers/stateful_claims.h"
#include "model/types/core_v1.h"

namespace estiba::controllers {

inline constexpr client::Resource persistent_volumes{"", "v1", "persistentvolumes"};
inline constexpr client::Resource volume_attributes_classes{"storage.k8s.io", "v1", "volumeattributesclasses"};
inline constexpr client::Resource storage_classes{"storage.k8s.io", "v1", "storageclasses"};

using client::beta_storage_class;
using client::beta_storage_provisioner;
using client::bind_completed;
using client::bound_by_controller;
using client::capacity_bytes;
using client::claim_of;
using client::class_of_claim;
using client::class_of_volume;
using client::is_bound_to;
using client::is_made_for;
using client::provisioned_by;
using client::requested_bytes;
using client::selected_node;
using client::storage_provisioner;

/// The class that new claims without one get: of several the newest, then the first by name. A null reference for none.
model::ObjectRef default_class(const client::Informer& classes);

/// Pods by the claims they use, as "ns/claim".
client::Informer::Index claim_index(client::Informer& pods);

}  // namespace estiba::controllers
