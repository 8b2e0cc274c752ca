// What a pod asks of a node, worked out once when the pod is first seen.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "model/object.h"
#include "model/types/core_v1.h"
#include "scheduler/affinity_terms.h"

namespace estiba::scheduler {

struct Amounts {
  int64_t cpu = 0;     ///< thousandths of a core
  int64_t memory = 0;  ///< bytes
  int64_t ephemeral = 0;
  std::vector<std::pair<std::string, int64_t>> others;  ///< extended resources, huge pages; by name

  int64_t other(std::string_view name) const;
  /// Adds `sign` times `by`.
  void add(const Amounts& by, int64_t sign);
  /// The larger of each.
  void raise_to(const Amounts& least);
};

/// A resource list as in requests and allocatable; `pods` is left out.
Amounts amounts_of(const std::map<std::string, std::string>& list);

struct HostPort {
  std::string ip, protocol;
  int32_t port = 0;
  /// The wildcard address meets every other.
  bool conflicts(const HostPort& other) const;
};

struct Demand {
  mutable model::ObjectRef pod;  ///< the newest version that Cluster::confirm was told of
  Amounts request;  ///< containers, init containers' maximum, sidecars, overhead; while they are resized, the most of spec and status
  int64_t scored_cpu = 0, scored_memory = 0;  ///< the same with 100m and 200 MB for containers that ask for nothing
  std::vector<HostPort> ports;
  std::vector<std::string> claims;                ///< persistentVolumeClaims that its volumes name, as "ns/name"
  std::shared_ptr<const AffinityTerms> affinity;  ///< null: none
  int32_t priority = 0;
  bool resizing = false;  ///< the status tells of other amounts than the spec

  /// Whether the pod, whose spec is still this one's, asks for the same by what its status says now. Cheap while it is not being resized.
  bool same_amounts(const model::ObjectRef& now) const;
  /// Of something it asks for less.
  bool asks_less_than(const Demand& other) const;
  const model::core_v1::Pod& typed() const { return pod.as<model::core_v1::Pod>(); }
};
using DemandPtr = std::shared_ptr<const Demand>;

DemandPtr demand_of(const model::ObjectRef& pod);

}  // namespace estiba::scheduler
