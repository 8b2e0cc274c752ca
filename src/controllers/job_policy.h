// What a Job's policies say of its pods: which failures count, end the Job or an index, and when enough has succeeded.
#pragma once
#include <optional>
#include <string>

#include "controllers/job_indexes.h"
#include "model/object.h"
#include "model/types/batch_v1.h"

namespace estiba::controllers {

enum class FailureAction : uint8_t { count, ignore, fail_job, fail_index };
struct FailureVerdict {
  FailureAction action = FailureAction::count;
  std::string message;  ///< of fail_job: what matched which rule
};
/// By the first rule of spec.podFailurePolicy that matches; without one the failure counts.
FailureVerdict judge_failure(const model::batch_v1::JobSpec& spec, const model::ObjectRef& pod);

/// The message of the first rule of spec.successPolicy that these indexes fulfil.
std::optional<std::string> fulfilled_success_rule(const model::batch_v1::JobSpec& spec, const IndexSet& succeeded);

}  // namespace estiba::controllers
