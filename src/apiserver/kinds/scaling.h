// HorizontalPodAutoscalers.
#pragma once
#include "apiserver/strategy.h"

namespace estiba::apiserver::scaling {

/// One metric, the use of CPU, when there is none; the rules of a behavior that is given.
void default_autoscaler(json::Document& doc, json::Node& object);
/// The status stays; of autoscaling/v1, also what its annotations say of it.
void prepare_autoscaler(Draft& draft);
void validate_autoscaler(Draft& draft);
void validate_autoscaler_status(Draft& draft);

}  // namespace estiba::apiserver::scaling
