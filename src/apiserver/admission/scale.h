// Webhooks and policies see a write of a scale as what the client has sent and gets back: an autoscaling/v1 Scale, not the
// object that is scaled.
#pragma once
#include "apiserver/admission/admission.h"

namespace estiba::apiserver::admission {

/// Calls `ask` with the Scale in the object's place when the write is one of a scale, and takes over what it changes in it.
Task<Result<void>> with_scale(Attributes& attributes, Task<Result<void>> (*ask)(Attributes&));

}  // namespace estiba::apiserver::admission
