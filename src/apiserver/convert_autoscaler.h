// HorizontalPodAutoscalers between autoscaling/v1 and v2. v1 has a share of the processor as its one target; whatever else v2 says is
// kept on its form in annotations autoscaling.alpha.kubernetes.io/{metrics,current-metrics,behavior,conditions}, so that nothing is
// lost on the way there and back (pkg/apis/autoscaling/v1/conversion.go).
#pragma once
#include "model/json.h"

namespace estiba::apiserver {

/// Changes a v2 object in place; apiVersion is the caller's.
void autoscaler_to_v1(json::Document& doc, json::Node& object);
/// Changes a v1 object in place. An annotation that holds something else than it should is dropped.
void autoscaler_to_v2(json::Document& doc, json::Node& object);

}  // namespace estiba::apiserver
