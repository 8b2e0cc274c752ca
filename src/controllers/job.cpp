// Job: runs pods until enough have succeeded, or too many failed.
//
// A run looks at the Job and its pods (job_tally), writes what it counted, takes the finalizer from what is counted, makes
// or deletes pods, and writes what the cache holds then. What it changed comes back through the watches.
#include <algorithm>

#include "base/lanes.h"
#include "client/finalizers.h"
#include "client/selectors.h"
#include "controllers/deletion_rank.h"
#include "controllers/framework.h"
#include "controllers/job_policy.h"
#include "controllers/job_tally.h"
#include "controllers/owned.h"
#include "controllers/pod_control.h"
#include "controllers/pod_facts.h"
#include "controllers/table.h"

namespace estiba::controllers {

using client::EventType;
using model::ObjectRef;
using model::batch_v1::Job;
using model::batch_v1::JobSpec;

namespace {

constexpr size_t burst = 500;  // pods made or deleted in one run
constexpr std::string_view our_name = "kubernetes.io/job-controller";
constexpr char orphan_mark = '!';  // begins the key of a pod whose Job is gone

class JobController final : public Controller {
 public:
  explicit JobController(Context& context)
      : Controller(context, "job-controller", {.workers = 8}),
        jobs_(watch(client::jobs)),
        pods_(informer(client::pods)),
        control_(client_, pods_, events_),
        pod_index_(controller_index(pods_)),
        by_namespace_(jobs_.namespace_index()) {
    pods_.on_change([this](const ObjectRef& before, const ObjectRef& after) { pod_changed(before, after); });
    jobs_.on_change([this](const ObjectRef& before, const ObjectRef& after) {
      if (before && !after) job_gone(before);
    });
  }

 private:
  // Since the last success, for the pause before the next pod.
  struct Failures {
    int64_t count = 0;
    WallTime last{};
  };

  void pod_changed(const ObjectRef& before, const ObjectRef& after) {
    enqueue_owners(before, after, "Job", jobs_, by_namespace_, [&](const ObjectRef& job) {
      const auto& selector = job.as<Job>().spec.selector;
      return selector && client::matches(*selector, after.meta().labels);
    });
    if (after && is_tracked(after) && !owner_of(after)) enqueue(orphan_mark + client::key_of(after));
  }

  void job_gone(const ObjectRef& job) {
    failures_.erase(job.meta().uid);
    pods_.each(pod_index_, job.meta().uid, [this](const ObjectRef& pod) {
      if (is_tracked(pod)) enqueue(orphan_mark + client::key_of(pod));
    });
  }

  ObjectRef owner_of(const ObjectRef& pod) const {
    const model::Owner* owner = pod.meta().controller();
    if (!owner || owner->kind != "Job") return {};
    ObjectRef job = jobs_.get(pod.meta().ns, owner->name);
    return job && job.meta().uid == owner->uid ? job : ObjectRef{};
  }

  Task<Result<void>> reconcile(std::string key) override {
    if (key.starts_with(orphan_mark)) co_return co_await release_orphan(key.substr(1));
    const ObjectRef job = jobs_.get(key);
    if (!job) co_return {};
    const JobSpec& spec = job.as<Job>().spec;
    if (!spec.managedBy.empty() && spec.managedBy != our_name) co_return {};
    if (!spec.selector) co_return fail(Code::invalid, key + ": spec.selector is missing");
    const std::vector<ObjectRef> claimed = CO_TRY(co_await claim(client_, pods_, pod_index_, job, *spec.selector));

    JobTally tally = tally_job(job, look_at(claimed), wall_now());
    if (!tally.untrack.empty() || tally.decided) CO_TRY(co_await write_status(job, tally));
    CO_TRY(co_await untrack(tally.untrack));
    Result<void> managed;
    if (job.meta().deletion_timestamp.empty() && !tally.finished) managed = co_await manage(job, tally);

    const ObjectRef now = jobs_.get(key);
    if (!now || now.meta().uid != job.meta().uid) co_return managed;
    JobTally after = tally_job(now, look_at(pods_.find(pod_index_, now.meta().uid)), wall_now());
    CO_TRY(co_await write_status(now, after));
    if (after.deadline && *after.deadline > wall_now()) enqueue_after(key, *after.deadline - wall_now());
    co_return managed;
  }

  std::vector<JobPod> look_at(const std::vector<ObjectRef>& pods) const {
    std::vector<JobPod> out;
    out.reserve(pods.size());
    for (const ObjectRef& pod : pods) out.push_back(job_pod(pod, control_.is_deleting(pod)));
    return out;
  }

  // --- the status ----------------------------------------------------------------------------------------------------

  Task<Result<void>> write_status(ObjectRef job, const JobTally& tally) {
    const model::batch_v1::JobStatus& before = job.as<Job>().status;
    if (model::same(before, tally.status)) co_return {};
    CO_TRY(co_await patch_status(jobs_, job, job_status_patch(tally.status)));
    remember(job.meta().uid, tally);
    tell(job, before, tally.status);
    if (tally.finished) failures_.erase(job.meta().uid);
    co_return {};
  }

  /// How many have failed since the last success.
  void remember(const std::string& uid, const JobTally& tally) {
    if (tally.new_failures.empty() && tally.new_successes.empty()) return;
    Failures& failures = failures_[uid];
    WallTime last_success{};
    for (WallTime at : tally.new_successes) last_success = std::max(last_success, at);
    if (!tally.new_successes.empty()) failures = {};
    for (WallTime at : tally.new_failures) {
      if (!tally.new_successes.empty() && at <= last_success) continue;
      ++failures.count;
      failures.last = std::max(failures.last, at);
    }
  }

  void tell(const ObjectRef& job, const model::batch_v1::JobStatus& before, const model::batch_v1::JobStatus& after) {
    for (const auto& condition : after.conditions) {
      const auto* old = find_condition(before, condition.type);
      if (old && old->status == condition.status) continue;
      if (condition.type == "Complete") events_.record(job, EventType::normal, "Completed", "Job completed");
      else if (condition.type == "Failed") events_.record(job, EventType::warning, condition.reason, condition.message);
      else if (condition.type == "Suspended")
        events_.record(job, EventType::normal, condition.status == "True" ? "Suspended" : "Resumed", condition.message);
    }
  }

  // --- finalizers ----------------------------------------------------------------------------------------------------

  static Task<void> untrack_one(JobController* self, ObjectRef counted, std::optional<Error>* first_error) {
    // The newest that is known: a patch of an older one would be refused.
    const ObjectRef pod = self->pods_.get(client::key_of(counted));
    if (!pod || pod.meta().uid != counted.meta().uid || !is_tracked(pod)) co_return;
    const model::Meta& meta = pod.meta();
    auto written = co_await self->client_.patch(client::pods, meta.ns, meta.name, client::PatchType::merge,
                                                client::finalizer_patch(pod, job_tracking_finalizer, false));
    if (written) self->pods_.observe(*written);
    else if (written.error().code != Code::not_found && !*first_error) *first_error = std::move(written.error());
  }

  Task<Result<void>> untrack(std::vector<ObjectRef> pods) {
    std::optional<Error> error;
    co_await in_lanes(pods.size(), write_lanes, [&](size_t i) { return untrack_one(this, pods[i], &error); });
    if (error) co_return std::unexpected(std::move(*error).context("take the finalizer from counted pods"));
    co_return {};
  }

  Task<Result<void>> release_orphan(std::string key) {
    const ObjectRef pod = pods_.get(key);
    if (!pod || !is_tracked(pod) || owner_of(pod)) co_return {};
    co_return co_await untrack({pod});
  }

  // --- pods ----------------------------------------------------------------------------------------------------------

  Task<Result<void>> manage(const ObjectRef& job, const JobTally& tally) {
    const JobSpec& spec = job.as<Job>().spec;
    std::vector<ObjectRef> active;
    for (const JobPod& pod : tally.pods)
      if (pod.active()) active.push_back(pod.object);
    if (tally.decided) co_return co_await control_.remove(job, current(active));
    if (spec.suspend.value_or(false)) co_return co_await withdraw(job, std::move(active));

    const int64_t parallelism = spec.parallelism.value_or(1);
    int64_t want = parallelism;
    if (spec.completions) want = std::min(want, *spec.completions - tally.succeeded - tally.failed_indexes.size());
    else if (tally.succeeded > 0) want = tally.active;
    std::vector<ObjectRef> surplus = misplaced(spec, tally);
    const int64_t fitting = tally.active - int64_t(surplus.size());
    if (fitting > want) {
      std::erase_if(active, [&](const ObjectRef& pod) {
        return std::ranges::any_of(surplus, [&](const ObjectRef& each) { return each.meta().uid == pod.meta().uid; });
      });
      for (ObjectRef& pod : pods_to_delete(std::move(active), size_t(fitting - std::max<int64_t>(0, want))))
        surplus.push_back(std::move(pod));
    }
    if (surplus.size() > burst) surplus.resize(burst);
    if (!surplus.empty()) co_return co_await withdraw(job, std::move(surplus));
    const int64_t missing = want - tally.active - (replaces_failed_only(spec) ? tally.terminating : 0);
    if (missing > 0) co_return co_await create(job, tally, size_t(std::min<int64_t>(missing, burst)));
    co_return {};
  }

  /// As the cache has them now.
  std::vector<ObjectRef> current(const std::vector<ObjectRef>& pods) const {
    std::vector<ObjectRef> out;
    for (const ObjectRef& pod : pods)
      if (ObjectRef now = pods_.get(client::key_of(pod)); now && now.meta().uid == pod.meta().uid) out.push_back(std::move(now));
    return out;
  }

  /// What the Job itself takes back does not count as failed.
  Task<Result<void>> withdraw(ObjectRef job, std::vector<ObjectRef> pods) {
    CO_TRY(co_await untrack(pods));
    co_return co_await control_.remove(job, current(pods));
  }

  /// Active pods of an index that is done, out of range, or another pod's as well.
  static std::vector<ObjectRef> misplaced(const JobSpec& spec, const JobTally& tally) {
    std::vector<ObjectRef> out;
    if (!is_indexed(spec)) return out;
    std::map<int64_t, std::vector<ObjectRef>> by_index;
    for (const JobPod& pod : tally.pods) {
      if (!pod.active()) continue;
      if (pod.index < 0 || pod.index >= spec.completions.value_or(0) || tally.succeeded_indexes.contains(pod.index))
        out.push_back(pod.object);
      else by_index[pod.index].push_back(pod.object);
    }
    for (auto& [index, pods] : by_index)
      for (ObjectRef& pod : pods.size() > 1 ? pods_to_delete(pods, pods.size() - 1) : std::vector<ObjectRef>{})
        out.push_back(std::move(pod));
    return out;
  }

  struct NewPod {
    int64_t index = -1;
    IndexFailures failures;
  };

  Task<Result<void>> create(ObjectRef job, const JobTally& tally, size_t count) {
    const JobSpec& spec = job.as<Job>().spec;
    const bool by_index = is_indexed(spec) && spec.backoffLimitPerIndex;
    std::vector<NewPod> fresh;
    if (!by_index) {
      const auto known = failures_.find(job.meta().uid);
      if (known != failures_.end() && known->second.count > 0) {
        const WallTime next = known->second.last + job_backoff(known->second.count);
        if (next > wall_now()) {
          enqueue_after(client::key_of(job), next - wall_now());
          co_return {};
        }
      }
    }
    if (is_indexed(spec)) fresh = free_indexes(job, tally, count, by_index);
    else fresh.resize(count);
    if (fresh.empty()) co_return {};
    std::vector<std::string> bodies;
    for (const NewPod& pod : fresh) bodies.push_back(CO_TRY(job_pod_body(job, pod.index, by_index ? &pod.failures : nullptr)));
    const size_t size = bodies.size();
    co_return co_await control_.create(job, size, [bodies = std::move(bodies)](size_t i) { return bodies[i]; });
  }

  /// The lowest indexes that nothing runs for and that are not done.
  std::vector<NewPod> free_indexes(const ObjectRef& job, const JobTally& tally, size_t count, bool by_index) {
    const JobSpec& spec = job.as<Job>().spec;
    IndexSet taken;
    for (const JobPod& pod : tally.pods)
      if (pod.index >= 0 && (pod.active() || (pod.terminating && (by_index || replaces_failed_only(spec))))) taken.add(pod.index);
    std::vector<NewPod> out;
    for (int64_t index = 0; index < spec.completions.value_or(0) && out.size() < count; ++index) {
      if (taken.contains(index) || tally.succeeded_indexes.contains(index) || tally.failed_indexes.contains(index)) continue;
      NewPod pod{.index = index};
      const auto held = tally.held.find(index);
      if (held != tally.held.end()) {
        pod.failures = index_failures(held->second.object);
        const bool ignored = judge_failure(spec, held->second.object).action == FailureAction::ignore;
        (ignored ? pod.failures.ignored : pod.failures.counted) += 1;
        const WallTime next = finished_at(held->second.object) + job_backoff(pod.failures.all());
        if (next > wall_now()) {
          enqueue_after(client::key_of(job), next - wall_now());
          continue;
        }
      }
      out.push_back(std::move(pod));
    }
    return out;
  }

  client::Informer& jobs_;
  client::Informer& pods_;
  PodControl control_;
  const client::Informer::Index pod_index_, by_namespace_;
  std::map<std::string, Failures> failures_;  // by the Job's UID
};

}  // namespace

std::unique_ptr<Controller> make_job_controller(Context& context) { return std::make_unique<JobController>(context); }

}  // namespace estiba::controllers
