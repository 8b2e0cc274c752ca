// What a pod and its containers are given on a node, from their requests and limits, those of the pod as a whole (KEP 2837), and its
// overhead (KEP 688): limits of control groups, the class of service, OOM scores. Pure functions, as in Kubernetes' pkg/kubelet/cm and qos.
#pragma once
#include <string>
#include <string_view>

#include "engine/spec.h"
#include "model/quota.h"
#include "model/types/core_v1.h"

namespace estiba::node {

/// Guaranteed, Burstable or BestEffort: as the status has it, else by the pod's own resources, else by its containers'.
std::string qos_class(const model::core_v1::Pod& pod);

/// The "requests" or "limits" of the pod as a whole, its overhead among them.
model::ResourceList whole_pod(const model::core_v1::Pod& pod, std::string_view which);

/// CPU requests to shares (1 CPU = 1024), limits to a quota per 100 ms period, memory limits to bytes. A container without a limit has that
/// of its pod, so that programs which look at their group see it. In a pod with huge pages every size is limited to what the container may
/// have, 0 where it says nothing.
engine::Resources container_resources(const model::core_v1::Pod& pod, const model::core_v1::Container& container);
/// What the pod's group gets: its own limits, or the sum where every container has one; of huge pages the sum, of every size.
engine::Resources pod_resources(const model::core_v1::Pod& pod);
/// The same as the API shows it (status.resources).
model::core_v1::ResourceRequirements shown_resources(const model::core_v1::Pod& pod);

/// Guaranteed pods are killed last, best-effort ones first, the others by how much of the machine's memory they asked for; what a pod asks
/// for beyond its containers is shared out among them, and a sidecar is not killed before the container that asks least.
int oom_score_adj(const model::core_v1::Pod& pod, const model::core_v1::Container& container, int64_t machine_bytes);

}  // namespace estiba::node
