// Features that nodes declare in status.declaredFeatures (KEP 5328), and which of them a pod needs: the scheduler, the API and the node ask
// the same questions (Kubernetes: k8s.io/component-helpers/nodedeclaredfeatures).
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "model/json.h"
#include "model/types/core_v1.h"

namespace estiba::model::node_features {

inline constexpr std::string_view web_sockets = "ExtendWebSocketsToKubelet";
inline constexpr std::string_view pod_resize = "InPlacePodLevelResourcesVerticalScaling";
inline constexpr std::string_view init_container_resize = "InPlacePodVerticalScalingInitContainers";
inline constexpr std::string_view restart_all = "RestartAllContainersOnContainerExits";
inline constexpr std::string_view user_namespace_on_host_network = "UserNamespacesHostNetworkSupport";

/// What a node of ours declares, sorted.
std::vector<std::string> declared_here();
/// What a node must declare for the pod to run on it, sorted.
std::vector<std::string_view> needed_by(const core_v1::PodSpec& spec);
/// What its node must declare for a pod's spec to change from `before` to `after`, sorted.
std::vector<std::string_view> needed_by_change(const json::Node& before, const json::Node& after);
/// What is needed and not declared, with commas between; empty when nothing is missing.
std::string missing(const std::vector<std::string_view>& needed, const std::vector<std::string>& declared);

}  // namespace estiba::model::node_features
