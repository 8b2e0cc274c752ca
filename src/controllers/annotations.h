// Annotations and labels by which Deployments and kubectl understand each other.
#pragma once
#include <string_view>

namespace estiba::controllers {

inline constexpr std::string_view revision_annotation = "deployment.kubernetes.io/revision";
inline constexpr std::string_view revision_history_annotation = "deployment.kubernetes.io/revision-history";
inline constexpr std::string_view desired_annotation = "deployment.kubernetes.io/desired-replicas";
inline constexpr std::string_view most_annotation = "deployment.kubernetes.io/max-replicas";
inline constexpr std::string_view last_applied_annotation = "kubectl.kubernetes.io/last-applied-configuration";
inline constexpr std::string_view template_hash_label = "pod-template-hash";

}  // namespace estiba::controllers
