// Which changes of a pod are allowed (pkg/apis/core/validation/validation.go: ValidatePodUpdate and its kin).
#pragma once
#include "apiserver/strategy.h"

namespace estiba::apiserver::pod {

/// Of the object: images, deadline, more tolerations, fewer gates.
void validate_update(Draft& draft);
/// Of a subresource: status, ephemeralcontainers, resize. Others (binding) are acts of the server and not looked at.
void validate_part(Draft& draft);
/// The annotations that mean something to Kubernetes.
void validate_annotations(Draft& draft);

}  // namespace estiba::apiserver::pod
