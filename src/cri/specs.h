// From the CRI's configurations to the engine's.
#pragma once
#include <vector>

#include "base/result.h"
#include "cri/options.h"
#include "cri/records.h"
#include "engine/spec.h"
#include "network/pod_net.h"

namespace estiba::cri {

/// Checks what can be checked before anything is made: invalid, naming the field.
Result<void> check(const v1::PodSandboxConfig& config);
Result<void> check(const v1::ContainerConfig& config);

std::vector<engine::UserNamespace::Range> ranges_of(const std::vector<v1::IDMapping>& mappings);

/// `net` is empty for the host's network. Reads the host's resolv.conf and hosts when the configuration has none: blocks for a moment.
engine::SandboxSpec sandbox_spec(const Options& options, const SandboxRecord& record, const network::PodNet& net);
network::PodRequest pod_request(const SandboxRecord& record);

/// `target_pid`: the first process of the container whose processes this one shall see (NamespaceMode::target); else 0.
Result<engine::ContainerSpec> container_spec(const SandboxRecord& sandbox, const ContainerRecord& record, int target_pid);
/// Between the CRI's numbers of signals and the kernel's; 0 and runtime_default are "none said".
int signal_number(v1::Signal signal);
v1::Signal signal_of(int number);
engine::Resources resources_of(const v1::LinuxContainerResources& resources);
/// Puts what `changes` sets into `resources`.
void merge(v1::LinuxContainerResources& resources, const v1::LinuxContainerResources& changes);

}  // namespace estiba::cri
