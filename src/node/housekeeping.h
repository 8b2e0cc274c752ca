// What the node does beside running the pods of the API, as `estiba server` and `estiba agent` are told by the same flags.
#pragma once
#include <functional>
#include <string>

#include "base/executor.h"
#include "base/result.h"
#include "model/json.h"
#include "node/thresholds.h"

namespace estiba::node {

struct Housekeeping {
  std::string pod_manifests;  ///< directory (or a file) of pods that run whatever the API says; empty: none
  /// Makes a manifest what the API server would make of it, and validates it; errors name the field.
  std::function<Result<void>(json::Document&)> complete_pod;

  /// Unused images go when their disk is used by so much, until it is by so much; none that has been here for less than `image_least_age`.
  int64_t image_high_percent = 85, image_low_percent = 80;
  Duration image_least_age = std::chrono::minutes(2);
  Duration image_most_age{};                        ///< unused for longer, they go in any case; zero: they do not
  Duration image_period = std::chrono::minutes(5);  ///< between looks at them

  std::vector<Threshold> thresholds;                       ///< below which pods are evicted
  Duration pressure_transition = std::chrono::minutes(5);  ///< for which a condition stays after what caused it
  Duration eviction_most_grace{};                          ///< of pods that are evicted for a soft threshold
};

}  // namespace estiba::node
