#include "controllers/job_tally.h"

#include <algorithm>

#include "base/time.h"
#include "controllers/job_policy.h"
#include "controllers/pod_facts.h"
#include "model/json.h"

namespace estiba::controllers {

using model::ObjectRef;
using model::batch_v1::Job;
using model::batch_v1::JobCondition;
using model::batch_v1::JobSpec;
using model::batch_v1::JobStatus;

namespace {

constexpr size_t uncounted_limit = 500;  // UIDs at once in a status

void set_condition(JobStatus& status, std::string_view type, std::string_view value, std::string reason, std::string message,
                   WallTime now) {
  const std::string at = format_rfc3339(now);
  for (JobCondition& condition : status.conditions) {
    if (condition.type != type) continue;
    if (condition.status != value) condition.lastTransitionTime = at;
    condition.status = value;
    condition.reason = std::move(reason);
    condition.message = std::move(message);
    condition.lastProbeTime = at;
    return;
  }
  status.conditions.push_back({std::string(type), std::string(value), at, at, std::move(reason), std::move(message)});
}

class Count {
 public:
  Count(const ObjectRef& job, std::vector<JobPod> pods, WallTime now) : job_(job), spec_(job.as<Job>().spec), now_(now) {
    out_.status = job.as<Job>().status;
    out_.pods = std::move(pods);
    out_.finished = is_finished(out_.status);
    out_.decided = out_.finished || has_condition(out_.status, "FailureTarget") || has_condition(out_.status, "SuccessCriteriaMet");
    completions_ = spec_.completions.value_or(0);
    by_index_ = is_indexed(spec_) && spec_.backoffLimitPerIndex;
    out_.succeeded_indexes = IndexSet::parse(is_indexed(spec_) ? out_.status.completedIndexes : "", completions_);
    out_.failed_indexes = IndexSet::parse(by_index_ ? out_.status.failedIndexes : "", completions_);
  }

  JobTally run() && {
    begin();
    flush();
    count_successes();
    judge_failures();
    if (by_index_) hold_failures();
    count_failures();
    sum_up();
    if (!out_.decided && going()) decide();
    note_suspension();
    finish();
    return std::move(out_);
  }

 private:
  bool going() const { return job_.meta().deletion_timestamp.empty(); }
  bool suspended() const { return spec_.suspend.value_or(false); }
  bool in_range(const JobPod& pod) const { return pod.index >= 0 && pod.index < completions_; }

  void begin() {
    if (out_.status.startTime.empty() && !suspended()) out_.status.startTime = format_rfc3339(now_);
    if (!spec_.activeDeadlineSeconds || suspended() || out_.finished || out_.status.startTime.empty()) return;
    out_.deadline = time_or_epoch(out_.status.startTime) + std::chrono::seconds(*spec_.activeDeadlineSeconds);
  }

  /// What lost its finalizer is counted.
  void flush() {
    std::set<std::string_view> tracked;
    for (const JobPod& pod : out_.pods)
      if (pod.tracked) tracked.insert(pod.uid());
    if (out_.status.uncountedTerminatedPods) {
      auto& uncounted = *out_.status.uncountedTerminatedPods;
      const auto gone = [&](const std::string& uid) { return !tracked.contains(uid); };
      succeeded_ += int64_t(std::erase_if(uncounted.succeeded, gone));
      failed_ += int64_t(std::erase_if(uncounted.failed, gone));
      unsettled_succeeded_.insert(uncounted.succeeded.begin(), uncounted.succeeded.end());
      unsettled_failed_.insert(uncounted.failed.begin(), uncounted.failed.end());
    }
    succeeded_ += out_.status.succeeded.value_or(0);
    failed_ += out_.status.failed.value_or(0);
  }

  bool full() const { return unsettled_succeeded_.size() + unsettled_failed_.size() >= uncounted_limit; }

  void count_successes() {
    for (const JobPod& pod : out_.pods) {
      if (!pod.tracked || !pod.succeeded) continue;
      if (is_indexed(spec_)) {
        if (in_range(pod) && !out_.failed_indexes.contains(pod.index) && !out_.succeeded_indexes.contains(pod.index)) {
          out_.succeeded_indexes.add(pod.index);
          out_.new_successes.push_back(finished_at(pod.object));
        }
      } else if (!unsettled_succeeded_.contains(pod.uid())) {
        if (full()) continue;
        unsettled_succeeded_.insert(pod.uid());
        out_.new_successes.push_back(finished_at(pod.object));
      }
      out_.untrack.push_back(pod.object);
    }
  }

  bool newly_failed(const JobPod& pod) const { return pod.tracked && !pod.succeeded && counts_as_failed(pod, spec_); }

  void judge_failures() {
    if (!spec_.podFailurePolicy && !by_index_) return;
    for (const JobPod& pod : out_.pods) {
      if (!newly_failed(pod)) continue;
      FailureVerdict verdict = judge_failure(spec_, pod.object);
      if (verdict.action == FailureAction::fail_job && !out_.decided && going()) fail("PodFailurePolicy", verdict.message);
      verdicts_[pod.uid()] = verdict.action;
      if (!by_index_ || !in_range(pod) || out_.succeeded_indexes.contains(pod.index)) continue;
      const bool counts = verdict.action != FailureAction::ignore;
      if (verdict.action == FailureAction::fail_index || (counts && index_failures(pod.object).counted + 1 > *spec_.backoffLimitPerIndex))
        out_.failed_indexes.add(pod.index);
    }
  }

  void hold_failures() {
    for (const JobPod& pod : out_.pods) {
      if (!newly_failed(pod) || !in_range(pod) || out_.succeeded_indexes.contains(pod.index) || out_.failed_indexes.contains(pod.index))
        continue;
      auto [at, fresh] = out_.held.emplace(pod.index, pod);
      if (!fresh && index_failures(at->second.object).all() < index_failures(pod.object).all()) at->second = pod;
    }
    for (const JobPod& pod : out_.pods) {
      const auto at = out_.held.find(pod.index);
      if (at == out_.held.end() || !pod.active()) continue;
      if (index_failures(pod.object).all() > index_failures(at->second.object).all()) out_.held.erase(at);
    }
  }

  FailureAction action_of(const JobPod& pod) const {
    const auto at = verdicts_.find(pod.uid());
    return at == verdicts_.end() ? FailureAction::count : at->second;
  }

  /// Of a decided Job, whatever has not succeeded has failed.
  void count_failures() {
    for (const JobPod& pod : out_.pods) {
      if (!pod.tracked || pod.succeeded) continue;
      const bool failed = counts_as_failed(pod, spec_);
      if (!failed && !out_.decided && going()) continue;
      const auto held = out_.held.find(pod.index);
      if (!out_.decided && going() && held != out_.held.end() && held->second.uid() == pod.uid()) continue;
      const bool counts = (failed || out_.decided) && (!is_indexed(spec_) || in_range(pod)) && action_of(pod) != FailureAction::ignore;
      if (counts && !unsettled_failed_.contains(pod.uid())) {
        if (full()) continue;
        unsettled_failed_.insert(pod.uid());
        out_.new_failures.push_back(finished_at(pod.object));
      }
      out_.untrack.push_back(pod.object);
    }
  }

  static void number(std::optional<int32_t>& field, int64_t value) {
    if (value == 0) field.reset();
    else field = int32_t(value);
  }

  void sum_up() {
    int64_t ready = 0;
    for (const JobPod& pod : out_.pods) {
      out_.active += pod.active();
      out_.terminating += pod.terminating;
      ready += pod.active() && pod.ready;
    }
    if (is_indexed(spec_)) succeeded_ = out_.succeeded_indexes.size();
    JobStatus& status = out_.status;
    number(status.succeeded, succeeded_);
    number(status.failed, failed_);
    number(status.active, out_.active);
    status.ready = int32_t(ready);
    status.terminating = int32_t(out_.terminating);
    if (is_indexed(spec_)) status.completedIndexes = out_.succeeded_indexes.text();
    if (by_index_) status.failedIndexes = out_.failed_indexes.text();
    status.uncountedTerminatedPods = model::Opt<model::batch_v1::UncountedTerminatedPods>(model::batch_v1::UncountedTerminatedPods{
        {unsettled_succeeded_.begin(), unsettled_succeeded_.end()}, {unsettled_failed_.begin(), unsettled_failed_.end()}});
    out_.succeeded = succeeded_ + int64_t(unsettled_succeeded_.size());
    out_.failed = failed_ + int64_t(unsettled_failed_.size() + out_.held.size());
  }

  void fail(std::string reason, std::string message) {
    set_condition(out_.status, "FailureTarget", "True", std::move(reason), std::move(message), now_);
    out_.decided = true;
  }
  void succeed(std::string reason, std::string message) {
    set_condition(out_.status, "SuccessCriteriaMet", "True", std::move(reason), std::move(message), now_);
    out_.decided = true;
  }

  /// Containers that are started again in their pods use up the limit as well.
  bool restarted_too_often(int64_t limit) const {
    if (spec_.template_.spec.restartPolicy != "OnFailure") return false;
    int64_t restarts = 0;
    for (const JobPod& pod : out_.pods) {
      const auto& status = pod.object.as<model::core_v1::Pod>().status;
      if (status.phase != "Running" && status.phase != "Pending") continue;
      for (const auto* list : {&status.initContainerStatuses, &status.containerStatuses})
        for (const auto& container : *list) restarts += container.restartCount;
    }
    return limit == 0 ? restarts > 0 : restarts >= limit;
  }

  void decide() {
    const int64_t limit = spec_.backoffLimit.value_or(by_index_ ? INT32_MAX : 6);
    if (out_.failed > limit || restarted_too_often(limit))
      return fail("BackoffLimitExceeded", "Job has reached the specified backoff limit");
    if (out_.deadline && *out_.deadline <= now_) return fail("DeadlineExceeded", "Job was active longer than specified deadline");
    if (by_index_) {
      if (spec_.maxFailedIndexes && out_.failed_indexes.size() > *spec_.maxFailedIndexes)
        return fail("MaxFailedIndexesExceeded", "Job has exceeded the specified maximal number of failed indexes");
      if (!out_.failed_indexes.empty() && out_.failed_indexes.size() + out_.succeeded_indexes.size() >= completions_)
        return fail("FailedIndexes", "Job has failed indexes");
    }
    if (is_indexed(spec_))
      if (auto message = fulfilled_success_rule(spec_, out_.succeeded_indexes)) return succeed("SuccessPolicy", std::move(*message));
    if (out_.active == 0 && (spec_.completions ? out_.succeeded >= *spec_.completions : out_.succeeded > 0))
      succeed("CompletionsReached", "Reached expected number of succeeded pods");
  }

  void note_suspension() {
    if (out_.decided || !going()) return;
    const bool noted = has_condition(out_.status, "Suspended");
    if (suspended()) {
      if (noted) return;
      set_condition(out_.status, "Suspended", "True", "JobSuspended", "Job suspended", now_);
      out_.status.startTime.clear();
    } else if (noted) {
      set_condition(out_.status, "Suspended", "False", "JobResumed", "Job resumed", now_);
      out_.status.startTime = format_rfc3339(now_);
    }
  }

  /// A decided Job is finished when nothing of it runs and all is counted.
  void finish() {
    if (!out_.decided || out_.finished || out_.active > 0 || out_.terminating > 0 || !out_.untrack.empty()) return;
    if (!unsettled_succeeded_.empty() || !unsettled_failed_.empty()) return;
    const bool failed = has_condition(out_.status, "FailureTarget");
    const JobCondition target = *find_condition(out_.status, failed ? "FailureTarget" : "SuccessCriteriaMet");
    set_condition(out_.status, failed ? "Failed" : "Complete", "True", target.reason, target.message, now_);
    if (!failed) out_.status.completionTime = format_rfc3339(now_);
    if (out_.status.startTime.empty()) out_.status.startTime = format_rfc3339(now_);
    out_.finished = true;
  }

  const ObjectRef job_;
  const JobSpec& spec_;
  const WallTime now_;
  JobTally out_;
  int64_t completions_ = 0;
  bool by_index_ = false;
  int64_t succeeded_ = 0, failed_ = 0;  // counted
  std::set<std::string> unsettled_succeeded_, unsettled_failed_;
  std::map<std::string, FailureAction> verdicts_;  // by UID
};

}  // namespace

const JobCondition* find_condition(const JobStatus& status, std::string_view type) {
  const auto at = std::ranges::find(status.conditions, type, &JobCondition::type);
  return at == status.conditions.end() ? nullptr : &*at;
}

bool has_condition(const JobStatus& status, std::string_view type) {
  const JobCondition* condition = find_condition(status, type);
  return condition && condition->status == "True";
}

bool is_finished(const JobStatus& status) { return has_condition(status, "Complete") || has_condition(status, "Failed"); }

JobTally tally_job(const ObjectRef& job, std::vector<JobPod> pods, WallTime now) { return Count(job, std::move(pods), now).run(); }

std::string job_status_patch(const JobStatus& next) {
  constexpr std::string_view may_be_absent[] = {"conditions", "startTime",        "completionTime", "active", "succeeded",
                                                "failed",     "completedIndexes", "failedIndexes",  "ready",  "terminating"};
  auto parsed = json::Document::parse(model::encode(next));
  json::Document out = parsed ? std::move(*parsed) : json::Document();
  for (std::string_view field : may_be_absent)
    if (!out.root().find(field)) out.set(out.root(), field, out.make_null());
  // Lists that have become empty must not stay as they were.
  json::Node& uncounted = out.ensure_object(out.root(), "uncountedTerminatedPods");
  for (std::string_view field : {"succeeded", "failed"})
    if (!uncounted.find(field)) out.set(uncounted, field, out.make_null());
  return "{\"status\":" + json::print(out.root()) + "}";
}

}  // namespace estiba::controllers
