// Which pods make room for a critical one that finds none on its node (kubelet's pkg/kubelet/preemption). Pure functions.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "node/admission.h"

namespace estiba::node {

/// What a pod that went so says of it, in the kubelet's words.
inline constexpr const char* preempting = "Preempting";
inline constexpr const char* preempted_message = "Preempted in order to admit critical pod";
inline constexpr const char* preempted_condition = "Pod was preempted by Kubelet to accommodate a critical pod.";

/// Whether `pod` may take the place of `other`: a critical one that of others, and among them the higher priority.
bool may_preempt(const model::ObjectRef& pod, const model::ObjectRef& other);

/// Those of `others` that go so that `pod` has what it is short of: as few as can be of those that are guaranteed their resources, then of
/// the burstable, then of the rest, and of several that would do the smaller. Empty when nothing is short; nullopt when all of them
/// together would not do.
std::optional<std::vector<size_t>> victims_of(const model::ObjectRef& pod, const std::vector<Present>& others,
                                              std::vector<Shortage> shortages);

}  // namespace estiba::node
