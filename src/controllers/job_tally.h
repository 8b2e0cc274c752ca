// One look at a Job and its pods: what has ended, what the status says next, and whether the Job is decided.
//
// A pod is counted exactly once, whatever is killed in between (KEP 2307): its UID is written into
// status.uncountedTerminatedPods (or its index into completedIndexes), then it loses its finalizer, then the number grows as
// the UID is taken out again.
#pragma once
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "controllers/job_indexes.h"
#include "controllers/job_pods.h"

namespace estiba::controllers {

struct JobTally {
  model::batch_v1::JobStatus status;  ///< the next one
  IndexSet succeeded_indexes, failed_indexes;
  int64_t succeeded = 0, failed = 0;  ///< with what is not yet counted
  int64_t active = 0, terminating = 0;
  std::vector<JobPod> pods;
  std::vector<model::ObjectRef> untrack;  ///< pods that lose their finalizer once the status is written
  std::map<int64_t, JobPod> held;         ///< by index: the failed pod whose number of failures its successor takes over
  std::vector<WallTime> new_successes, new_failures;
  bool decided = false;              ///< FailureTarget or SuccessCriteriaMet: its pods are to end
  bool finished = false;             ///< Complete or Failed
  std::optional<WallTime> deadline;  ///< when activeDeadlineSeconds are over, if that is to come
};

/// Complete or Failed is True.
bool is_finished(const model::batch_v1::JobStatus& status);
/// The condition is there and True.
bool has_condition(const model::batch_v1::JobStatus& status, std::string_view type);
const model::batch_v1::JobCondition* find_condition(const model::batch_v1::JobStatus& status, std::string_view type);

JobTally tally_job(const model::ObjectRef& job, std::vector<JobPod> pods, WallTime now);

/// The merge patch that makes the status what `next` says.
std::string job_status_patch(const model::batch_v1::JobStatus& next);

}  // namespace estiba::controllers
