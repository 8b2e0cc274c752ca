// CronJob: makes a Job at each time of its schedule.
#include <algorithm>

#include "base/time.h"
#include "client/json_writer.h"
#include "controllers/framework.h"
#include "controllers/job_tally.h"
#include "controllers/owned.h"
#include "controllers/pod_facts.h"
#include "controllers/table.h"
#include "model/cron.h"

namespace estiba::controllers {

using client::EventType;
using client::JsonWriter;
using model::CronSchedule;
using model::ObjectRef;
using model::batch_v1::CronJob;
using model::batch_v1::CronJobSpec;
using model::batch_v1::CronJobStatus;
using model::batch_v1::Job;
using namespace std::chrono_literals;

namespace {

constexpr std::string_view scheduled_annotation = "batch.kubernetes.io/cronjob-scheduled-timestamp";

/// The time that is due, if one is, and how many were missed.
struct Due {
  std::optional<WallTime> time;
  int64_t missed = 0;
};

class CronJobController final : public Controller {
 public:
  explicit CronJobController(Context& context)
      : Controller(context, "cronjob-controller", {.workers = 4}),
        cron_jobs_(watch(client::cron_jobs)),
        jobs_(informer(client::jobs)),
        job_index_(controller_index(jobs_)) {
    jobs_.on_change([this](const ObjectRef& before, const ObjectRef& after) { enqueue_controllers(before, after, "CronJob"); });
  }

 private:
  Task<Result<void>> reconcile(std::string key) override {
    const ObjectRef cron_job = cron_jobs_.get(key);
    if (!cron_job) co_return {};
    const CronJobSpec& spec = cron_job.as<CronJob>().spec;
    std::vector<ObjectRef> jobs = jobs_.find(job_index_, cron_job.meta().uid);
    CronJobStatus status = cron_job.as<CronJob>().status;
    settle(cron_job, jobs, status);
    Result<void> done = co_await forget_history(cron_job, jobs);
    if (done && cron_job.meta().deletion_timestamp.empty() && !spec.suspend.value_or(false))
      done = co_await schedule(cron_job, std::move(jobs), status);
    if (!model::same(status, cron_job.as<CronJob>().status)) CO_TRY(co_await patch_status(cron_jobs_, cron_job, status_patch(status)));
    co_return done;
  }

  static std::string status_patch(const CronJobStatus& status) {
    JsonWriter json;
    json.object().object("status").array("active");
    for (const auto& active : status.active) json.raw_value(model::encode(active));
    json.end();
    json.optional("lastScheduleTime", status.lastScheduleTime).optional("lastSuccessfulTime", status.lastSuccessfulTime);
    json.end().end();
    return json.take();
  }

  // --- what is there -------------------------------------------------------------------------------------------------

  /// Takes what has finished or vanished out of status.active.
  void settle(const ObjectRef& cron_job, const std::vector<ObjectRef>& jobs, CronJobStatus& status) {
    for (const ObjectRef& job : jobs) {
      const auto& state = job.as<Job>().status;
      const auto listed = std::ranges::find(status.active, job.meta().uid, &model::core_v1::ObjectReference::uid);
      if (listed == status.active.end()) {
        const bool ours = !job.meta().annotation(scheduled_annotation).empty();
        if (!is_finished(state) && ours && job.meta().deletion_timestamp.empty()) status.active.push_back(reference(job));
        else if (!is_finished(state) && !ours)
          events_.record(cron_job, EventType::warning, "UnexpectedJob",
                         "Saw a job that the controller did not create or forgot: " + job.meta().name);
      } else if (is_finished(state)) {
        const bool complete = has_condition(state, "Complete");
        status.active.erase(listed);
        events_.record(cron_job, EventType::normal, "SawCompletedJob",
                       "Saw completed job: " + job.meta().name + ", condition: " + (complete ? "Complete" : "Failed"));
      }
      if (state.completionTime > status.lastSuccessfulTime) status.lastSuccessfulTime = state.completionTime;  // both in UTC
    }
    std::erase_if(status.active, [&](const auto& active) {
      if (std::ranges::any_of(jobs, [&](const ObjectRef& job) { return job.meta().uid == active.uid; })) return false;
      events_.record(cron_job, EventType::normal, "MissingJob", "Active job went missing: " + active.name);
      return true;
    });
  }

  static model::core_v1::ObjectReference reference(const ObjectRef& job) {
    model::core_v1::ObjectReference out;
    out.kind = "Job";
    out.apiVersion = "batch/v1";
    out.namespace_ = job.meta().ns;
    out.name = job.meta().name;
    out.uid = job.meta().uid;
    out.resourceVersion = job.resource_version();
    return out;
  }

  /// Deletes the oldest finished Jobs beyond the limits.
  Task<Result<void>> forget_history(ObjectRef cron_job, std::vector<ObjectRef> jobs) {
    const CronJobSpec& spec = cron_job.as<CronJob>().spec;
    for (const bool succeeded : {true, false}) {
      const auto limit = succeeded ? spec.successfulJobsHistoryLimit : spec.failedJobsHistoryLimit;
      if (!limit) continue;
      std::vector<ObjectRef> finished;
      for (const ObjectRef& job : jobs) {
        if (has_condition(job.as<Job>().status, succeeded ? "Complete" : "Failed") && job.meta().deletion_timestamp.empty())
          finished.push_back(job);
      }
      if (finished.size() <= size_t(*limit)) continue;
      std::ranges::sort(finished, {}, [](const ObjectRef& job) { return std::pair(job.as<Job>().status.startTime, job.meta().name); });
      finished.resize(finished.size() - size_t(*limit));
      for (const ObjectRef& job : finished) CO_TRY(co_await remove(cron_job, job));
    }
    co_return {};
  }

  Task<Result<void>> remove(ObjectRef cron_job, ObjectRef job) {
    auto removed =
        co_await client_.remove(client::jobs, job.meta().ns, job.meta().name, {.propagation = "Background", .uid = job.meta().uid});
    if (removed) {
      events_.record(cron_job, EventType::normal, "SuccessfulDelete", "Deleted job " + job.meta().name);
    } else if (removed.error().code != Code::not_found && removed.error().code != Code::conflict) {
      events_.record(cron_job, EventType::warning, "FailedDelete", "Deleted job: " + removed.error().message);
      co_return std::unexpected(std::move(removed.error()).context("delete job " + client::key_of(job)));
    }
    co_return {};
  }

  // --- the next one --------------------------------------------------------------------------------------------------

  Due find_due(const ObjectRef& cron_job, const CronSchedule& schedule, const TimeZone& zone, const CronJobStatus& status, WallTime now) {
    constexpr int64_t many = 100;
    const CronJobSpec& spec = cron_job.as<CronJob>().spec;
    WallTime since = time_or_epoch(status.lastScheduleTime.empty() ? cron_job.meta().creation_timestamp : status.lastScheduleTime);
    if (spec.startingDeadlineSeconds) since = std::max(since, now - std::chrono::seconds(*spec.startingDeadlineSeconds));
    Due due;
    // A schedule of long ago is not walked through to its end: near now is enough.
    for (auto at = schedule.next(since, zone); at && *at <= now; at = schedule.next(*at, zone)) {
      due.time = *at;
      if (++due.missed == many * 2)
        if (const WallTime near = skip_towards(schedule, zone, *at, now); near > *at) at = near;
    }
    if (due.missed > many)
      events_.record(cron_job, EventType::warning, "TooManyMissedTimes",
                     "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew");
    return due;
  }

  /// A time shortly before now from which at least one time of the schedule follows until now.
  static WallTime skip_towards(const CronSchedule& schedule, const TimeZone& zone, WallTime from, WallTime now) {
    for (Duration back = 1h; now - back > from; back *= 4)
      if (const auto next = schedule.next(now - back, zone); next && *next <= now) return now - back;
    return from;
  }

  Task<Result<void>> schedule(ObjectRef cron_job, std::vector<ObjectRef> jobs, CronJobStatus& status) {
    const CronJobSpec& spec = cron_job.as<CronJob>().spec;
    const std::string key = client::key_of(cron_job);
    const WallTime now = wall_now();
    auto zone = TimeZone::load(spec.timeZone);
    if (!zone) {
      events_.record(cron_job, EventType::warning, "UnknownTimeZone",
                     "invalid timeZone: \"" + spec.timeZone + "\": " + zone.error().message);
      co_return {};
    }
    auto schedule = CronSchedule::parse(spec.schedule);
    if (!schedule) {
      events_.record(cron_job, EventType::warning, "UnparseableSchedule",
                     "unparseable schedule: \"" + spec.schedule + "\" : " + schedule.error().message);
      co_return {};
    }
    if (const auto next = schedule->next(now, *zone)) enqueue_after(key, *next - now);
    const Due due = find_due(cron_job, *schedule, *zone, status, now);
    if (!due.time) co_return {};
    if (spec.startingDeadlineSeconds && *due.time + std::chrono::seconds(*spec.startingDeadlineSeconds) < now) {
      events_.record(cron_job, EventType::warning, "MissSchedule", "Missed scheduled time to start a job: " + format_rfc3339(*due.time));
      co_return {};
    }
    if (spec.concurrencyPolicy == "Forbid" && !status.active.empty()) {
      events_.record(cron_job, EventType::normal, "JobAlreadyActive",
                     "Not starting job because prior execution is running and concurrency policy is Forbid");
      co_return {};
    }
    if (spec.concurrencyPolicy == "Replace") {
      for (const ObjectRef& job : jobs)
        if (std::ranges::any_of(status.active, [&](const auto& active) { return active.uid == job.meta().uid; }))
          CO_TRY(co_await remove(cron_job, job));
      status.active.clear();
    }
    co_return co_await start(cron_job, *due.time, *zone, status);
  }

  /// The name tells the time, so that a Job is never made twice for one.
  Task<Result<void>> start(ObjectRef cron_job, WallTime at, const TimeZone& zone, CronJobStatus& status) {
    const std::string& ns = cron_job.meta().ns;
    const int64_t seconds = std::chrono::duration_cast<std::chrono::seconds>(at.time_since_epoch()).count();
    const std::string name = cron_job.meta().name + "-" + std::to_string(seconds / 60);
    auto made = co_await client_.create(client::jobs, ns, CO_TRY(job_body(cron_job, name, at, zone)));
    if (made) {
      jobs_.observe(*made);
      events_.record(cron_job, EventType::normal, "SuccessfulCreate", "Created job " + name);
    } else if (made.error().code == Code::already_exists) {
      made = co_await client_.get(client::jobs, ns, name);
      const model::Owner* owner = made ? made->meta().controller() : nullptr;
      if (!made || !owner || owner->uid != cron_job.meta().uid) {
        events_.record(cron_job, EventType::warning, "FailedCreate",
                       "Error creating job: " + name + " exists and is not controlled by this CronJob");
        co_return {};
      }
    } else {
      events_.record(cron_job, EventType::warning, "FailedCreate", "Error creating job: " + made.error().message);
      co_return std::unexpected(std::move(made.error()).context("create job " + ns + "/" + name));
    }
    if (!is_finished(made->as<Job>().status) &&
        std::ranges::find(status.active, made->meta().uid, &model::core_v1::ObjectReference::uid) == status.active.end())
      status.active.push_back(reference(*made));
    status.lastScheduleTime = format_rfc3339(at);
    co_return {};
  }

  /// RFC 3339 on the zone's clocks.
  static std::string local_text(WallTime at, const TimeZone& zone) {
    const int64_t seconds = std::chrono::duration_cast<std::chrono::seconds>(at.time_since_epoch()).count();
    const int64_t offset = zone.offset_at(seconds), minutes = std::abs(offset) / 60;
    std::string text = format_rfc3339(at + std::chrono::seconds(offset));
    if (offset == 0) return text;
    char zone_text[16];
    std::snprintf(zone_text, sizeof zone_text, "%c%02d:%02d", offset < 0 ? '-' : '+', int(minutes / 60), int(minutes % 60));
    return text.substr(0, text.size() - 1) + zone_text;
  }

  static Result<std::string> job_body(const ObjectRef& cron_job, const std::string& name, WallTime at, const TimeZone& zone) {
    const json::Document parsed = TRY(json::Document::parse(cron_job.object->json()));
    const json::Node* given = parsed.root().at("spec", "jobTemplate");
    if (!given) return fail(Code::invalid, client::key_of(cron_job) + ": spec.jobTemplate is missing");
    JsonWriter json;
    json.object().field("apiVersion", "batch/v1").field("kind", "Job").object("metadata");
    json.field("name", name).field("namespace", cron_job.meta().ns);
    if (const json::Node* labels = given->at("metadata", "labels")) json.raw("labels", json::print(*labels));
    json.object("annotations");
    if (const json::Node* annotations = given->at("metadata", "annotations"))
      for (const json::Node& annotation : *annotations)
        if (annotation.key() != scheduled_annotation) json.field(annotation.key(), annotation.as_string());
    json.field(scheduled_annotation, local_text(at, zone)).end();
    json.array("ownerReferences");
    write_controller_reference(json, cron_job.meta());
    json.end().end();
    if (const json::Node* spec = given->at("spec")) json.raw("spec", json::print(*spec));
    json.end();
    return json.take();
  }

  client::Informer& cron_jobs_;
  client::Informer& jobs_;
  const client::Informer::Index job_index_;
};

}  // namespace

std::unique_ptr<Controller> make_cron_job_controller(Context& context) { return std::make_unique<CronJobController>(context); }

}  // namespace estiba::controllers
