// Whether a container that has ended is started again: its own restart policy and rules by exit code (KEP 5307, KEP 5532), else the
// pod's policy. Pure functions, as k8s.io/kubernetes/pkg/api/v1/pod has them.
#pragma once
#include <string>

#include "model/types/core_v1.h"

namespace estiba::node {

enum class RestartAction : unsigned char { none, restart, restart_all };

/// What the first of the container's rules that matches the code wants; none when none matches.
RestartAction rule_for(const model::core_v1::Container& container, int exit_code);

/// "Always", "OnFailure" or "Never": the container's own, else the pod's, else "Always".
const std::string& restart_policy(const model::core_v1::Container& container, const model::core_v1::PodSpec& pod);

/// By its rules, and where none matches by its policy.
bool should_restart(const model::core_v1::Container& container, const model::core_v1::PodSpec& pod, int exit_code);

/// Whether any container may ask for the restart of all: such pods have the condition AllContainersRestarting.
bool all_may_restart(const model::core_v1::PodSpec& pod);

}  // namespace estiba::node
