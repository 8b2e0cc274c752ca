#include "node/status.h"

#include "base/signals.h"
#include "base/strings.h"
#include "base/time.h"
#include "node/not_honoured.h"
#include "node/resize.h"
#include "node/resources.h"
#include "node/restart_policy.h"
#include "node/volumes.h"

namespace estiba::node {

using namespace model::core_v1;
using engine::ContainerState;

bool is_sidecar(const Container& container) { return container.restartPolicy == "Always"; }

namespace {

const ContainerFacts& facts_of(const PodFacts& facts, const std::string& name) {
  static const ContainerFacts none;
  auto found = facts.containers.find(name);
  return found == facts.containers.end() ? none : found->second;
}

bool running(const ContainerFacts& c) { return c.current && c.current->state == ContainerState::running; }
bool exited(const ContainerFacts& c) { return c.current && c.current->state == ContainerState::exited; }

bool init_done(const Container& container, const ContainerFacts& c) {
  if (is_sidecar(container)) return running(c) && c.started;
  return exited(c) && c.current->exit_code == 0;
}

std::string text(WallTime time) { return time == WallTime{} ? std::string() : format_rfc3339(time); }

ContainerStateTerminated terminated(const engine::ContainerStatus& status) {
  ContainerStateTerminated out;
  out.exitCode = status.exit_code;
  out.reason = status.oom_killed ? "OOMKilled" : !status.reason.empty() ? status.reason : status.exit_code == 0 ? "Completed" : "Error";
  out.message = status.message;
  out.startedAt = text(status.started);
  out.finishedAt = text(status.finished);
  out.containerID = "estiba://" + status.id;
  return out;
}

ContainerStateTerminated removed_with_all() {
  ContainerStateTerminated out;
  out.exitCode = 137;
  out.reason = "RestartingAllContainers";
  out.message = "The container is removed because RestartAllContainers in place";
  return out;
}

model::core_v1::ContainerState state_of(const ContainerFacts& c, bool has_init, bool terminating) {
  model::core_v1::ContainerState out;
  if (running(c)) {
    out.running.ensure().startedAt = text(c.current->started);
  } else if (exited(c) && (c.waiting_reason.empty() || terminating)) {
    out.terminated.ensure() = terminated(*c.current);
  } else {
    auto& waiting = out.waiting.ensure();
    waiting.reason = !c.waiting_reason.empty() ? c.waiting_reason : has_init ? "PodInitializing" : "ContainerCreating";
    waiting.message = c.waiting_message;
  }
  return out;
}

model::core_v1::ContainerStatus container_status(const Container& spec, const ContainerFacts& c, bool has_init, bool init,
                                                 bool terminating) {
  model::core_v1::ContainerStatus out;
  out.name = spec.name;
  out.image = c.current && !c.current->image.empty() ? c.current->image : spec.image;
  out.restartCount = int32_t(c.restarts);
  if (c.current) {
    out.imageID = c.current->image_ref;
    out.containerID = "estiba://" + c.current->id;
    out.stopSignal = signal_name(c.current->stop_signal);
    if (c.current->user) {
      LinuxContainerUser& user = out.user.ensure().linux.ensure();
      user.uid = c.current->user->uid;
      user.gid = c.current->user->gid;
      user.supplementalGroups.assign(c.current->user->groups.begin(), c.current->user->groups.end());
    }
  }
  out.state.ensure() = state_of(c, has_init, terminating);
  // A container that exited and waits for its restart shows its exit as the last state.
  if (exited(c) && !c.waiting_reason.empty() && !terminating) out.lastState.ensure().terminated.ensure() = terminated(*c.current);
  else if (c.previous) out.lastState.ensure().terminated.ensure() = terminated(*c.previous);
  else if (c.reset) out.lastState.ensure().terminated.ensure() = removed_with_all();
  out.ready = init && !is_sidecar(spec) ? exited(c) && c.current->exit_code == 0 : running(c) && c.ready;
  out.started = running(c) && c.started;
  for (const VolumeMount& mount : spec.volumeMounts) {
    VolumeMountStatus& mounted = out.volumeMounts.emplace_back();
    mounted.name = mount.name;
    mounted.mountPath = mount.mountPath;
    if (!mount.readOnly.value_or(false)) continue;
    mounted.readOnly = true;
    mounted.recursiveReadOnly = recursively_readonly(mount) ? "Enabled" : "Disabled";
  }
  out.resources.ensure() = c.resources ? *c.resources : given_resources(spec);
  out.allocatedResources = (c.granted ? *c.granted : given_resources(spec)).requests;
  return out;
}

// What the API knows of a container that the node knows nothing of any more (a reboot emptied the run directory); null when
// it never ran.
std::optional<model::core_v1::ContainerStatus> last_known(const std::vector<model::core_v1::ContainerStatus>& list,
                                                          const std::string& name) {
  for (const auto& known : list) {
    if (known.name != name || !known.state || !(known.state->terminated || known.state->running)) continue;
    model::core_v1::ContainerStatus out = known;
    out.started = false;
    if (!known.state->running) return out;
    out.ready = false;
    ContainerStateTerminated lost;
    lost.exitCode = 137;
    lost.reason = "ContainerStatusUnknown";
    lost.message = "The container was lost while the node was down";
    lost.startedAt = known.state->running->startedAt;
    lost.containerID = known.containerID;
    out.state.ensure() = {};
    out.state->terminated.ensure() = std::move(lost);
    return out;
  }
  return std::nullopt;
}

struct Condition {
  std::string type;
  bool holds;
  std::string reason, message;
};

void set_condition(std::vector<PodCondition>& conditions, const Condition& wanted, int64_t generation, WallTime now) {
  const std::string status = wanted.holds ? "True" : "False";
  PodCondition* found = nullptr;
  for (PodCondition& condition : conditions)
    if (condition.type == wanted.type) found = &condition;
  if (!found) {
    found = &conditions.emplace_back();
    found->type = wanted.type;
  }
  if (found->status != status) found->lastTransitionTime = format_rfc3339(now);
  found->status = status;
  found->reason = wanted.reason;
  found->message = wanted.message;
  if (generation > 0) found->observedGeneration = generation;
}

std::string list_names(const std::vector<std::string>& names) { return "[" + join(names, " ") + "]"; }

bool gates_hold(const Pod& pod) {
  for (const auto& gate : pod.spec.readinessGates) {
    bool holds = false;
    for (const auto& condition : pod.status.conditions) holds |= condition.type == gate.conditionType && condition.status == "True";
    if (!holds) return false;
  }
  return true;
}

void add_conditions(PodStatus& status, const Pod& pod, const PodFacts& facts, WallTime now) {
  std::vector<std::string> unready, incomplete;
  for (const Container& container : pod.spec.initContainers) {
    if (!init_done(container, facts_of(facts, container.name))) incomplete.push_back(container.name);
    if (is_sidecar(container) && !(running(facts_of(facts, container.name)) && facts_of(facts, container.name).ready))
      unready.push_back(container.name);
  }
  for (const Container& container : pod.spec.containers)
    if (!(running(facts_of(facts, container.name)) && facts_of(facts, container.name).ready)) unready.push_back(container.name);
  const bool done = status.phase == "Succeeded", failed = status.phase == "Failed";
  const int64_t generation = pod.metadata.generation.value_or(0);
  auto set = [&](std::string type, bool holds, std::string reason = {}, std::string message = {}) {
    set_condition(status.conditions, {std::move(type), holds, std::move(reason), std::move(message)}, generation, now);
  };
  set("PodReadyToStartContainers", facts.sandbox_ready);
  const bool init = initialized(pod, facts) || done;
  set("Initialized", init, init ? (done ? "PodCompleted" : "") : "ContainersNotInitialized",
      init ? "" : "containers with incomplete status: " + list_names(incomplete));
  const bool ready = unready.empty() && !done && !failed;
  const std::string reason = ready ? "" : done ? "PodCompleted" : failed ? "PodFailed" : "ContainersNotReady";
  const std::string message = ready || done || failed ? "" : "containers with unready status: " + list_names(unready);
  const bool gates = gates_hold(pod);
  set("Ready", ready && gates, ready && !gates ? "ReadinessGatesNotReady" : reason,
      ready && !gates ? "a readiness gate of the pod does not hold" : message);
  set("ContainersReady", ready, reason, message);
  if (const auto fields = not_honoured(pod); !fields.empty()) set(not_honoured_condition, true, "FieldsNotHonoured", join(fields, "; "));
  if (all_may_restart(pod.spec)) {
    const std::string why = done ? "PodCompleted" : failed ? "PodFailed" : facts.restarting_all ? "RestartAllContainersStarted" : "";
    const bool holds = facts.restarting_all && !done && !failed;
    set("AllContainersRestarting", holds, why, holds ? "container exited with restart policy rule" : "");
  }
  std::erase_if(status.conditions, [&](const PodCondition& condition) {
    return (condition.type == "PodResizePending" && (facts.resize_deferred.empty() || done || failed)) ||
           (condition.type == "PodResizeInProgress" && (!facts.resizing || done || failed));
  });
  if (!facts.resize_deferred.empty() && !done && !failed)
    set("PodResizePending", true, facts.resize_infeasible ? "Infeasible" : "Deferred", facts.resize_deferred);
  if (facts.resizing && !done && !failed) {
    const int64_t since = facts.resize_generation > 0 ? facts.resize_generation : generation;
    set_condition(status.conditions, {"PodResizeInProgress", true, facts.resize_error.empty() ? "" : "Error", facts.resize_error}, since,
                  now);
  }
  if (!facts.disruption.empty()) set("DisruptionTarget", true, "TerminationByKubelet", facts.disruption);
  for (const auto& condition : status.conditions)
    if (condition.type == "PodScheduled") return;
  set("PodScheduled", true);
}

}  // namespace

bool initialized(const Pod& pod, const PodFacts& facts) {
  for (const Container& container : pod.spec.initContainers)
    if (!init_done(container, facts_of(facts, container.name))) return false;
  return true;
}

std::string phase_of(const Pod& pod, const PodFacts& facts) {
  if (!facts.failed_reason.empty()) return "Failed";
  // Once ended, always ended.
  if (pod.status.phase == "Succeeded" || pod.status.phase == "Failed") return pod.status.phase;
  bool initializing = false;
  for (const Container& container : pod.spec.initContainers) {
    const ContainerFacts& c = facts_of(facts, container.name);
    if (is_sidecar(container)) continue;
    if (exited(c) && c.current->exit_code != 0 && !should_restart(container, pod.spec, c.current->exit_code)) return "Failed";
    initializing |= running(c) || (!exited(c) && !c.previous && !c.reset);
  }
  int runs = 0, waits = 0, stopped = 0, succeeded = 0, restartable = 0;
  for (const Container& container : pod.spec.containers) {
    const ContainerFacts& c = facts_of(facts, container.name);
    if (running(c)) {
      ++runs;
    } else if (exited(c) || c.previous) {
      const int code = exited(c) ? c.current->exit_code : c.previous->exit_code;
      ++stopped;
      succeeded += code == 0;
      restartable += should_restart(container, pod.spec, code);
    } else if (c.reset) {
      ++stopped, ++restartable;
    } else {
      ++waits;
    }
  }
  if (initializing && !facts.terminating) return "Pending";
  if (!initialized(pod, facts) && runs == 0 && stopped == 0) return "Pending";
  if (waits > 0) return "Pending";
  if (runs > 0) return "Running";
  if (restartable > 0 && !facts.terminating) return "Running";
  return stopped == succeeded ? "Succeeded" : "Failed";
}

PodStatus compute_status(const Pod& pod, const PodFacts& facts, WallTime now) {
  PodStatus status;
  status.conditions = pod.status.conditions;
  status.nominatedNodeName = pod.status.nominatedNodeName;
  // What others have told of its claims of devices: the whole status is replaced by this one.
  status.resourceClaimStatuses = pod.status.resourceClaimStatuses;
  status.extendedResourceClaimStatus = pod.status.extendedResourceClaimStatus;
  status.nodeAllocatableResourceClaimStatuses = pod.status.nodeAllocatableResourceClaimStatuses;
  status.phase = phase_of(pod, facts);
  status.reason = facts.failed_reason;
  status.message = facts.failed_message;
  status.qosClass = qos_class(pod);
  if (facts.resources) {
    status.resources.ensure() = *facts.resources;
    for (const auto& [name, quantity] : facts.granted) status.allocatedResources[name] = quantity.print();
  }
  if (facts.start_time != WallTime{}) status.startTime = format_rfc3339(facts.start_time);
  if (auto generation = pod.metadata.generation) status.observedGeneration = *generation;
  if (!facts.host_ips.empty()) status.hostIP = facts.host_ips[0];
  for (const std::string& ip : facts.host_ips) status.hostIPs.emplace_back().ip = ip;
  const bool has_init = !pod.spec.initContainers.empty(), ended = status.phase == "Succeeded" || status.phase == "Failed",
             over = facts.terminating || ended;
  if (!facts.pod_ips.empty()) status.podIP = facts.pod_ips[0];
  for (const std::string& ip : facts.pod_ips) status.podIPs.emplace_back().ip = ip;
  if (facts.pod_ips.empty() && over) {
    status.podIP = pod.status.podIP;
    status.podIPs = pod.status.podIPs;
  }
  auto add = [&](const Container& container, const auto& before, auto& to, bool is_init) {
    const ContainerFacts& c = facts_of(facts, container.name);
    auto known = over && !c.current && !c.previous ? last_known(before, container.name) : std::nullopt;
    to.push_back(known ? std::move(*known) : container_status(container, c, has_init, is_init, over));
  };
  for (const Container& container : pod.spec.initContainers)
    add(container, pod.status.initContainerStatuses, status.initContainerStatuses, true);
  for (const Container& container : pod.spec.containers) add(container, pod.status.containerStatuses, status.containerStatuses, false);
  for (const EphemeralContainer& ephemeral : pod.spec.ephemeralContainers) {
    Container container;
    container.name = ephemeral.name;
    container.image = ephemeral.image;
    status.ephemeralContainerStatuses.push_back(
        container_status(container, facts_of(facts, container.name), has_init, false, facts.terminating || ended));
  }
  add_conditions(status, pod, facts, now);
  return status;
}

}  // namespace estiba::node
