// Kinds that say who may do what: RBAC and certificates.
#pragma once
#include "apiserver/strategy.h"

namespace estiba::apiserver::access {

void validate_role(Draft& draft);
void validate_binding(Draft& draft);
void validate_signing_request(Draft& draft);
void validate_signing_request_status(Draft& draft);
void validate_trust_bundle(Draft& draft);
void validate_pod_certificate_request(Draft& draft);
void validate_pod_certificate_request_status(Draft& draft);

}  // namespace estiba::apiserver::access
