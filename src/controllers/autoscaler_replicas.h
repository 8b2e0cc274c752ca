// How many replicas a metric asks for: Kubernetes' calculation from what pods use, with its rules for pods that are not ready or
// have no metrics. Pure functions of what is given; values are in thousandths.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/executor.h"
#include "base/result.h"
#include "model/object.h"

namespace estiba::controllers {

struct PodMetric {
  int64_t value = 0;
  WallTime at{};
  Duration window{};
};
using PodMetrics = std::map<std::string, PodMetric>;  // by the pod's name

/// Within this of the target nothing is changed.
struct Tolerances {
  double down = 0.1, up = 0.1;
  bool is_within(double ratio) const { return 1.0 - down <= ratio && ratio <= 1.0 + up; }
};

struct Proposal {
  int32_t replicas = 0;
  int64_t usage = 0;                   ///< of a pod on average, or in all
  std::optional<int32_t> utilization;  ///< in per cent of what the pods request
};

/// What all calculations from pods need.
struct PodSample {
  std::vector<model::ObjectRef> pods;  ///< that the target selects
  PodMetrics metrics;
  std::string resource;  ///< "cpu", …; empty for a metric that is none
  int32_t current = 0;
  Tolerances tolerances;
  WallTime now{};
};

/// `target` in per cent of the requests; of one container when `container` is not empty.
Result<Proposal> replicas_for_utilization(PodSample sample, int32_t target, const std::string& container);
Result<Proposal> replicas_for_average(PodSample sample, int64_t target);
/// A value that is one for all pods together, as it relates to the target.
Result<Proposal> replicas_for_value(const std::vector<model::ObjectRef>& pods, int32_t current, int64_t usage, int64_t target,
                                    const Tolerances& tolerances);
/// A value that is divided among the pods.
Proposal replicas_for_value_per_pod(int32_t status_replicas, int64_t usage, int64_t target, const Tolerances& tolerances);

}  // namespace estiba::controllers
