// How fast an autoscaler follows its metrics: the least and the most replicas, stabilization windows, and the policies of
// spec.behavior. What it needs of the past is in a memory for each autoscaler.
#pragma once
#include <string>
#include <vector>

#include "base/executor.h"
#include "model/types/autoscaling_v2.h"

namespace estiba::controllers {

class AutoscalerMemory {
 public:
  struct Recommendation {
    int32_t replicas = 0;
    WallTime at{};
  };
  struct Change {
    int32_t replicas = 0;
    WallTime at{};
  };

  /// Before the first recommendation: what there is counts as one, so that a new controller does not scale down at once.
  void begin(int32_t current, WallTime now) {
    if (recommendations.empty()) recommendations.push_back({current, now});
  }
  /// A change of the target, for the policies; forgets what none of them looks at any more.
  void changed(const model::autoscaling_v2::HorizontalPodAutoscalerBehavior& behavior, int32_t before, int32_t after, WallTime now);

  std::vector<Recommendation> recommendations;
  std::vector<Change> ups, downs;
};

struct Limited {
  int32_t replicas = 0;
  std::string able_reason, able_message;  ///< of condition AbleToScale
  bool is_limited = false;                ///< condition ScalingLimited
  std::string limited_reason, limited_message;
};

/// The behavior with what Kubernetes fills in where it says nothing.
model::autoscaling_v2::HorizontalPodAutoscalerBehavior complete_behavior(
    const model::autoscaling_v2::HorizontalPodAutoscalerBehavior& given);

/// What becomes of a proposal now; notes it in the memory.
Limited limit_replicas(const model::autoscaling_v2::HorizontalPodAutoscalerSpec& spec, AutoscalerMemory& memory, int32_t current,
                       int32_t proposed, WallTime now);

}  // namespace estiba::controllers
