// Deletes a finished Job, with its pods, when spec.ttlSecondsAfterFinished have passed.
#include "controllers/framework.h"
#include "controllers/job_tally.h"
#include "controllers/pod_facts.h"
#include "controllers/table.h"

namespace estiba::controllers {

using model::ObjectRef;
using model::batch_v1::Job;

namespace {

class TtlAfterFinished final : public Controller {
 public:
  explicit TtlAfterFinished(Context& context)
      : Controller(context, "ttl-after-finished-controller", {.workers = 4}), jobs_(informer(client::jobs)) {
    jobs_.on_change([this](const ObjectRef&, const ObjectRef& after) {
      if (after && after.as<Job>().spec.ttlSecondsAfterFinished && is_finished(after.as<Job>().status)) enqueue(after);
    });
  }

 private:
  Task<Result<void>> reconcile(std::string key) override {
    const ObjectRef job = jobs_.get(key);
    if (!job || !job.meta().deletion_timestamp.empty()) co_return {};
    const Job& typed = job.as<Job>();
    if (!typed.spec.ttlSecondsAfterFinished || !is_finished(typed.status)) co_return {};
    WallTime finished{};
    for (std::string_view type : {"Complete", "Failed"})
      if (has_condition(typed.status, type)) finished = time_or_epoch(find_condition(typed.status, type)->lastTransitionTime);
    const WallTime due = finished + std::chrono::seconds(*typed.spec.ttlSecondsAfterFinished);
    if (due > wall_now()) {
      enqueue_after(key, due - wall_now());
      co_return {};
    }
    // Only what was looked at: a Job that was given more time meanwhile stays.
    auto removed =
        co_await client_.remove(client::jobs, job.meta().ns, job.meta().name,
                                {.propagation = "Foreground", .uid = job.meta().uid, .resource_version = job.resource_version()});
    if (removed || removed.error().code == Code::not_found || removed.error().code == Code::conflict) co_return {};
    co_return std::unexpected(std::move(removed.error()).context("delete finished job " + key));
  }

  client::Informer& jobs_;
};

}  // namespace

std::unique_ptr<Controller> make_ttl_after_finished(Context& context) { return std::make_unique<TtlAfterFinished>(context); }

}  // namespace estiba::controllers
