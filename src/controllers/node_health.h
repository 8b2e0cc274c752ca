// What a node's conditions mean for its taints and its pods. Pure functions.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/executor.h"
#include "model/object.h"
#include "model/types/core_v1.h"

namespace estiba::controllers {

inline constexpr std::string_view not_ready_taint = "node.kubernetes.io/not-ready";
inline constexpr std::string_view unreachable_taint = "node.kubernetes.io/unreachable";

enum class Readiness : uint8_t { ready, not_ready, unknown };
Readiness readiness_of(const model::core_v1::Node& node);

/// Whether an administrator says that the machine is down for good and nothing of it is to be waited for.
bool is_out_of_service(const model::core_v1::Node& node);

/// The node's taints with those that follow from its conditions and spec.unschedulable put right; others stay as they are,
/// and so do the times of those that were there.
std::vector<model::core_v1::Taint> right_taints(const model::core_v1::Node& node, WallTime now);

/// A merge patch that marks the node's Ready and pressure conditions Unknown; `revision` guards it.
std::string unknown_conditions_patch(const model::ObjectRef& node, WallTime now);
/// A merge patch with these taints, guarded by the object's revision.
std::string taints_patch(const model::ObjectRef& node, const std::vector<model::core_v1::Taint>& taints);
/// A merge patch that makes the pod's condition Ready False; nullopt when it is not True.
std::optional<std::string> unready_pod_patch(const model::ObjectRef& pod, WallTime now);

/// When a pod must leave because of NoExecute taints; nullopt: it may stay. A pod that says nothing about not-ready and
/// unreachable nodes stays five minutes, as Kubernetes' admission would have it say.
std::optional<WallTime> leaves_at(const model::core_v1::Pod& pod, const std::vector<model::core_v1::Taint>& taints, WallTime now);

}  // namespace estiba::controllers
