// What containers and pods are measured by, by cAdvisor's names (github.com/google/cadvisor, metrics/prometheus.go), which dashboards are
// made for: the node's /metrics/cadvisor and the CRI's metrics tell them.
#pragma once
#include <array>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/network_counters.h"
#include "engine/spec.h"

namespace estiba::engine {

struct Measured {
  ContainerStats stats;  ///< of a pod: the sum of its containers'
  WallTime started{};
  std::map<std::string, NetworkCounters> networks;  ///< of a pod with a network of its own
};

struct ContainerMetric {
  /// Further labels, in the order of `keys`, and the number.
  using Values = std::vector<std::pair<std::vector<std::pair<std::string_view, std::string>>, double>>;
  const char* name;
  bool counter;  ///< else a gauge
  const char* help;
  bool pods;                             ///< pods have it as well as containers
  std::array<std::string_view, 2> keys;  ///< of further labels; empty: none
  Values (*read)(const Measured& of);
};
std::span<const ContainerMetric> container_metrics();

/// Adds what a pod is measured by.
void add(ContainerStats& sum, const ContainerStats& part);

/// "/dev/vda" of a block device, or "254:0" when it has no name.
std::string device_name(uint64_t major, uint64_t minor);

}  // namespace estiba::engine
