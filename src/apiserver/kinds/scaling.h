// HorizontalPodAutoscalers.
#pragma once
#include "apiserver/strategy.h"

namespace estiba::apiserver::scaling {

void validate_autoscaler(Draft& draft);
void validate_autoscaler_status(Draft& draft);

}  // namespace estiba::apiserver::scaling
