// The pods of a Job: what a run needs to know of each, and how new ones look.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/executor.h"
#include "base/result.h"
#include "model/object.h"
#include "model/types/batch_v1.h"

namespace estiba::controllers {

/// Keeps a pod until it has been counted into its Job's status.
inline constexpr std::string_view job_tracking_finalizer = "batch.kubernetes.io/job-tracking";
inline constexpr std::string_view job_index_key = "batch.kubernetes.io/job-completion-index";  // a label and an annotation

struct JobPod {
  model::ObjectRef object;
  int64_t index = -1;                      ///< -1: none
  bool tracked = false;                    ///< has the finalizer
  bool succeeded = false, failed = false;  ///< by its phase
  bool terminating = false;                ///< being deleted and not finished
  bool ready = false;
  bool active() const { return !succeeded && !failed && !terminating; }
  const std::string& uid() const { return object.meta().uid; }
};
/// `deleting`: we have deleted it and the cache does not know yet.
JobPod job_pod(const model::ObjectRef& object, bool deleting);
/// Has the finalizer.
bool is_tracked(const model::ObjectRef& pod);

bool is_indexed(const model::batch_v1::JobSpec& spec);
/// Only pods that have failed to the end are replaced, not those that are still ending (spec.podReplacementPolicy).
bool replaces_failed_only(const model::batch_v1::JobSpec& spec);
/// Failed, or, where those that are still ending are replaced, being deleted without having succeeded.
bool counts_as_failed(const JobPod& pod, const model::batch_v1::JobSpec& spec);

/// When its last container ended; else when it became not ready, was deleted or made.
WallTime finished_at(const model::ObjectRef& pod);

/// How often the pods of an index failed before this one: by failures that count, and by those that a policy ignores.
struct IndexFailures {
  int64_t counted = 0, ignored = 0;
  int64_t all() const { return counted + ignored; }
};
IndexFailures index_failures(const model::ObjectRef& pod);

/// A pod of the Job's template with the finalizer, and for an Indexed Job with its index as label, annotation, environment
/// variable JOB_COMPLETION_INDEX, and in its names. `failures` is set where the Job limits failures by index.
Result<std::string> job_pod_body(const model::ObjectRef& job, int64_t index, const IndexFailures* failures);

/// The longest pause between a failure and its successor is ten minutes; the first is ten seconds, then twice as long each time.
Duration job_backoff(int64_t failures);

}  // namespace estiba::controllers
