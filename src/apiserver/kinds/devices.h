// Kinds of resource.k8s.io: claims for devices, their templates, classes and slices.
#pragma once
#include "apiserver/strategy.h"

namespace estiba::apiserver::devices {

void validate_claim(Draft& draft);
void validate_claim_status(Draft& draft);
void validate_claim_template(Draft& draft);
void validate_class(Draft& draft);
void validate_slice(Draft& draft);

}  // namespace estiba::apiserver::devices
