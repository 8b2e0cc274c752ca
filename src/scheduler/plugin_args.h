// What a profile says to its plugins: the arguments of KubeSchedulerConfiguration's pluginConfig, checked and filled up.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/executor.h"
#include "model/types/core_v1.h"

namespace estiba::scheduler {

struct ResourceWeight {
  std::string name;
  int64_t weight = 1;  ///< 1 … 100
};

/// NodeResourcesFit
struct FitArgs {
  enum class Strategy : uint8_t { least_allocated, most_allocated, requested_to_capacity };
  struct Point {
    int64_t utilization = 0;  ///< per cent, rising from point to point
    int64_t score = 0;        ///< 0 … 100
  };
  Strategy strategy = Strategy::least_allocated;
  std::vector<ResourceWeight> resources{{"cpu", 1}, {"memory", 1}};
  std::vector<Point> shape;  ///< of requested_to_capacity: between its points the score runs straight

  std::vector<std::string> ignored;         ///< extended resources that nodes need not have
  std::vector<std::string> ignored_groups;  ///< "example.com" of "example.com/device"
  bool ignores(std::string_view resource) const;
};

/// PodTopologySpread: what pods without constraints of their own get. Their selector is that of the pod's workload.
struct SpreadArgs {
  bool system = true;  ///< Kubernetes' own defaults, else `defaults`
  std::vector<model::core_v1::TopologySpreadConstraint> defaults;
};

/// InterPodAffinity
struct PodAffinityArgs {
  int64_t hard_weight = 1;           ///< what placed pods' required affinity to the pod counts for in scores
  bool ignores_preferences = false;  ///< of placed pods, where the pod has none itself
};

/// DefaultPreemption: how many nodes are compared.
struct PreemptionArgs {
  int64_t least_percent = 10, least = 100;
};

struct PluginArgs {
  FitArgs fit;
  std::vector<std::string> balanced{"cpu", "memory"};  ///< NodeResourcesBalancedAllocation
  SpreadArgs spread;
  PodAffinityArgs pod_affinity;
  std::optional<model::core_v1::NodeAffinity> added_affinity;  ///< NodeAffinity: holds for every pod, beside its own
  PreemptionArgs preemption;
  Duration volume_wait = std::chrono::minutes(10);  ///< VolumeBinding: how long claims may take to be bound
  Duration device_wait = std::chrono::minutes(10);  ///< DynamicResources: how long devices may take to be made ready
};

}  // namespace estiba::scheduler
