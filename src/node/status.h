// A pod's status as the API shows it, computed from the spec and from what is known of its containers. Pure functions.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/executor.h"
#include "engine/spec.h"
#include "model/quota.h"
#include "model/types/core_v1.h"

namespace estiba::node {

/// What the node knows of one container of a pod.
struct ContainerFacts {
  std::optional<engine::ContainerStatus> current, previous;
  uint32_t restarts = 0;
  bool reset = false;    ///< removed when all were restarted, and not ended since
  bool ready = false;    ///< readiness probe (or none) says so
  bool started = false;  ///< startup probe has passed
  /// What it has been given, and what it has been granted and will be given; none: what its spec says.
  std::optional<model::core_v1::ResourceRequirements> resources, granted;
  std::string waiting_reason, waiting_message;  ///< when it is not running and ought to
};

struct PodFacts {
  std::map<std::string, ContainerFacts> containers;  ///< by name, of all kinds
  bool sandbox_ready = false;
  std::vector<std::string> pod_ips;
  std::vector<std::string> host_ips;
  WallTime start_time{};
  /// The same of the pod as a whole, as the API shows it; none: not told.
  std::optional<model::core_v1::ResourceRequirements> resources;
  model::ResourceList granted;
  /// A change of resources that is being made (with what hinders it), or that waits for room on the node.
  bool resizing = false;
  int64_t resize_generation = 0;  ///< of the pod when the change was granted
  std::string resize_error, resize_deferred;
  bool resize_infeasible = false;             ///< no pod's end would let it be
  bool restarting_all = false;                ///< all containers are being removed to start anew
  bool terminating = false;                   ///< the pod is being ended
  std::string disruption;                     ///< why the node has evicted it for others' sake
  std::string failed_reason, failed_message;  ///< evicted, deadline exceeded, refused: the phase is Failed
};

/// Whether an init container keeps running beside the main ones (restartPolicy: Always).
bool is_sidecar(const model::core_v1::Container& container);

/// The pod's phase: Pending, Running, Succeeded or Failed.
std::string phase_of(const model::core_v1::Pod& pod, const PodFacts& facts);

/// The whole status. Conditions that the node does not own are taken over from the pod's present status, and transition
/// times are kept where nothing changed.
model::core_v1::PodStatus compute_status(const model::core_v1::Pod& pod, const PodFacts& facts, WallTime now);

/// Whether all that must succeed or be ready to make the pod Initialized has done so.
bool initialized(const model::core_v1::Pod& pod, const PodFacts& facts);

}  // namespace estiba::node
