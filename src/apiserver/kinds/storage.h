// Volumes, claims and the kinds of storage.k8s.io.
#pragma once
#include "apiserver/strategy.h"

namespace estiba::apiserver::storage {

void validate_volume_claim(Draft& draft);
void validate_volume_claim_status(Draft& draft);
void validate_volume(Draft& draft);
void validate_storage_class(Draft& draft);
void validate_volume_attachment(Draft& draft);
void validate_volume_attachment_status(Draft& draft);
void validate_csi_driver(Draft& draft);
void validate_csi_node(Draft& draft);
void validate_storage_capacity(Draft& draft);
void validate_attributes_class(Draft& draft);

}  // namespace estiba::apiserver::storage
