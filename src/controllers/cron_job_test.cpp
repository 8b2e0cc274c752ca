#include "controllers/job_tally.h"
#include "controllers/testing/cluster.h"

namespace estiba::controllers {
namespace {

using namespace std::chrono_literals;
using model::ObjectRef;
using model::batch_v1::CronJob;

struct CronJobTest : ControllerTest {
  void begin(std::string spec) {
    std::string text = "{'apiVersion':'batch/v1','kind':'CronJob','metadata':{'name':'tick','creationTimestamp':'" + now() + "'},'spec':{" +
                       spec + ",'jobTemplate':{'metadata':{'labels':{'a':'b'}},'spec':{'template':{'spec':{'containers':[]}}}}}}";
    std::ranges::replace(text, '\'', '"');
    server.add(client::cron_jobs, "x", text);
    start({make_cron_job_controller});
  }
  const CronJob& cron_job() { return server.find(client::cron_jobs, "x", "tick").as<CronJob>(); }
  std::vector<ObjectRef> jobs() { return server.all(client::jobs, "x"); }
  void finish(const ObjectRef& job, bool well = true) {
    server.merge(client::jobs, "x", job.meta().name,
                 R"({"status":{"startTime":")" + job.meta().creation_timestamp + (well ? R"(","completionTime":")" + now() : "") +
                     R"(","conditions":[{"type":")" + (well ? "Complete" : "Failed") + R"(","status":"True"}]}})",
                 "status");
    executor.run();
  }
};

TEST_F(CronJobTest, MakesAJobAtEachTimeAndRemembersIt) {
  begin("'schedule':'*/5 * * * *','successfulJobsHistoryLimit':2,'failedJobsHistoryLimit':1");
  executor.advance(5min + 1s);
  ASSERT_EQ(jobs().size(), 1u);
  EXPECT_EQ(jobs()[0].meta().label("a"), "b");
  EXPECT_EQ(jobs()[0].meta().annotation("batch.kubernetes.io/cronjob-scheduled-timestamp"), cron_job().status.lastScheduleTime);
  ASSERT_EQ(cron_job().status.active.size(), 1u);
  finish(jobs()[0]);
  EXPECT_TRUE(cron_job().status.active.empty());
  EXPECT_EQ(cron_job().status.lastSuccessfulTime, now());
  for (int i = 0; i < 4; ++i) {
    executor.advance(5min);
    for (const ObjectRef& job : jobs())
      if (!is_finished(job.as<model::batch_v1::Job>().status)) finish(job, i != 3);
  }
  EXPECT_EQ(jobs().size(), 3u);  // two that succeeded, one that failed
}

TEST_F(CronJobTest, ThePolicyDecidesWhatASecondOneDoes) {
  for (const std::string policy : {"Allow", "Forbid", "Replace"}) {
    stop();
    for (const ObjectRef& job : jobs()) server.erase(client::jobs, "x", job.meta().name);
    if (server.find(client::cron_jobs, "x", "tick")) server.erase(client::cron_jobs, "x", "tick");
    begin("'schedule':'* * * * *','concurrencyPolicy':'" + policy + "'");
    executor.advance(1min + 1s);
    ASSERT_EQ(jobs().size(), 1u) << policy;
    const std::string first = jobs()[0].meta().name;
    executor.advance(1min);
    EXPECT_EQ(jobs().size(), policy == "Allow" ? 2u : 1u) << policy;
    EXPECT_EQ(jobs()[0].meta().name == first, policy != "Replace") << policy;
  }
}

TEST_F(CronJobTest, MissedTimesAreMadeUpForOnceWithinTheDeadline) {
  begin("'schedule':'0 * * * *','suspend':true,'startingDeadlineSeconds':600");
  executor.advance(5h + 30min);
  EXPECT_TRUE(jobs().empty());
  server.merge(client::cron_jobs, "x", "tick", R"({"spec":{"suspend":false}})");
  executor.run();
  EXPECT_TRUE(jobs().empty());
  server.merge(client::cron_jobs, "x", "tick", R"({"spec":{"startingDeadlineSeconds":7200}})");
  executor.run();
  EXPECT_EQ(jobs().size(), 1u);
}

TEST_F(CronJobTest, AClockThatJumpsYearsStartsOneJobAndSpinsNot) {
  begin("'schedule':'* * * * *','suspend':true");
  executor.advance(std::chrono::hours(24 * 365 * 3));
  server.merge(client::cron_jobs, "x", "tick", R"({"spec":{"suspend":false}})");
  executor.run();
  ASSERT_EQ(jobs().size(), 1u);
  const auto scheduled = parse_rfc3339(cron_job().status.lastScheduleTime);
  EXPECT_LE(executor.wall_now() - *scheduled, 1min);
}

}  // namespace
}  // namespace estiba::controllers
