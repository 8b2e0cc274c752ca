// What PersistentVolumes, claims and templates for claims share.
#pragma once
#include <string>

#include "apiserver/field_errors.h"
#include "model/json.h"

namespace estiba::apiserver {

/// The spec of a claim, or of a template for one (ValidatePersistentVolumeClaimSpec).
void validate_claim_spec(const json::Node& spec, const std::string& path, FieldErrors& errors);

}  // namespace estiba::apiserver
