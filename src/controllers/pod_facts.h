// Questions about pods that several controllers ask.
#pragma once
#include <optional>
#include <string_view>

#include "base/executor.h"
#include "model/object.h"
#include "model/types/core_v1.h"

namespace estiba::controllers {

/// Neither finished nor being deleted.
bool is_active(const model::ObjectRef& pod);
/// Phase Succeeded or Failed.
bool is_finished(const model::core_v1::Pod& pod);
const model::core_v1::PodCondition* find_condition(const model::core_v1::Pod& pod, std::string_view type);
/// Condition Ready is True.
bool is_ready(const model::core_v1::Pod& pod);
/// When a ready pod has been ready for `min_ready_seconds`, in the future or past; nullopt when it is not ready.
std::optional<WallTime> available_at(const model::core_v1::Pod& pod, int64_t min_ready_seconds);

/// The time, or the epoch when there is none or it cannot be read.
WallTime time_or_epoch(std::string_view rfc3339);

}  // namespace estiba::controllers
