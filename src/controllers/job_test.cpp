#include "controllers/job_indexes.h"
#include "controllers/job_tally.h"
#include "controllers/testing/cluster.h"

namespace estiba::controllers {
namespace {

using namespace std::chrono_literals;
using model::ObjectRef;
using model::batch_v1::Job;
using model::batch_v1::JobStatus;

struct JobTest : ControllerTest {
  void begin() { start({make_job_controller, make_ttl_after_finished}); }
  /// `spec` with ' for ".
  void add_job(std::string spec) {
    std::string text = "{'apiVersion':'batch/v1','kind':'Job','metadata':{'name':'work'},'spec':{" + spec +
                       ",'selector':{'matchLabels':{'job':'work'}},'template':{'metadata':{'labels':{'job':'work'}},"
                       "'spec':{'restartPolicy':'Never','containers':[{'name':'c','image':'i'}]}}}}";
    std::ranges::replace(text, '\'', '"');
    server.add(client::jobs, "x", text);
    executor.run();
  }
  void change(std::string patch) {
    std::ranges::replace(patch, '\'', '"');
    server.merge(client::jobs, "x", "work", patch);
    executor.run();
  }
  const JobStatus& status() { return server.find(client::jobs, "x", "work").as<Job>().status; }
  bool has(std::string_view type) {
    const auto* condition = find_condition(status(), type);
    return condition && condition->status == "True";
  }
  std::string reason(std::string_view type) {
    const auto* condition = find_condition(status(), type);
    return condition ? condition->reason : "";
  }
  std::vector<ObjectRef> live() {
    std::vector<ObjectRef> out;
    for (const ObjectRef& pod : server.all(client::pods, "x")) {
      const std::string& phase = pod.as<model::core_v1::Pod>().status.phase;
      if (phase != "Succeeded" && phase != "Failed" && pod.meta().deletion_timestamp.empty()) out.push_back(pod);
    }
    return out;
  }
  ObjectRef live_of(int index) {
    for (const ObjectRef& pod : live())
      if (pod.meta().annotation(job_index_key) == std::to_string(index)) return pod;
    return {};
  }
  void end(const ObjectRef& pod, bool well, int exit_code = 1) {
    const std::string state =
        R"("state":{"terminated":{"exitCode":)" + std::to_string(well ? 0 : exit_code) + R"(,"finishedAt":")" + now() + R"("}})";
    server.merge(
        client::pods, "x", pod.meta().name,
        R"({"status":{"phase":")" + std::string(well ? "Succeeded" : "Failed") + R"(","containerStatuses":[{"name":"c",)" + state + "}]}}",
        "status");
    executor.run();
  }
};

TEST(JobIndexes, AreWrittenInRanges) {
  IndexSet set = IndexSet::parse("1,3-5,7,9,90", 10);
  EXPECT_EQ(set.size(), 6);
  EXPECT_EQ(set.text(), "1,3-5,7,9");
  set.add(8);
  set.add(0);
  set.add(8);
  EXPECT_EQ(set.text(), "0,1,3-5,7-9");
  EXPECT_TRUE(set.contains(4));
  EXPECT_FALSE(set.contains(6));
  EXPECT_EQ(IndexSet::parse("x,5-2,-1", 10).text(), "");
}

TEST_F(JobTest, RunsUntilEnoughHaveSucceeded) {
  begin();
  add_job("'completions':3,'parallelism':2");
  EXPECT_EQ(live().size(), 2u);
  EXPECT_EQ(status().active, 2);
  EXPECT_FALSE(status().startTime.empty());
  end(live()[0], true);
  EXPECT_EQ(live().size(), 2u);
  EXPECT_EQ(status().succeeded, 1);
  end(live()[0], true);
  EXPECT_EQ(live().size(), 1u);
  EXPECT_FALSE(has("SuccessCriteriaMet"));
  end(live()[0], true);
  EXPECT_TRUE(has("Complete"));
  EXPECT_EQ(reason("Complete"), "CompletionsReached");
  EXPECT_EQ(status().succeeded, 3);
  EXPECT_FALSE(status().completionTime.empty());
  EXPECT_FALSE(status().active.has_value());
  for (const ObjectRef& pod : server.all(client::pods, "x")) EXPECT_TRUE(pod.meta().finalizers.empty());
}

TEST_F(JobTest, FailuresPauseLongerEachTimeAndEndTheJob) {
  begin();
  add_job("'backoffLimit':2");
  end(live()[0], false);
  EXPECT_EQ(live().size(), 0u);
  EXPECT_EQ(status().failed, 1);
  executor.advance(9s);
  EXPECT_EQ(live().size(), 0u);
  executor.advance(2s);
  ASSERT_EQ(live().size(), 1u);
  end(live()[0], false);
  executor.advance(18s);
  EXPECT_EQ(live().size(), 0u);
  executor.advance(3s);
  ASSERT_EQ(live().size(), 1u);
  end(live()[0], false);
  EXPECT_TRUE(has("Failed"));
  EXPECT_EQ(reason("Failed"), "BackoffLimitExceeded");
  EXPECT_EQ(status().failed, 3);
}

TEST_F(JobTest, EveryPodIsCountedOnceWhateverWriteFails) {
  begin();
  add_job("'completions':4,'parallelism':4");
  int calls = 0;
  server.before_call = [&](std::string_view verb, client::Resource, std::string_view) -> Result<void> {
    if (verb == "patch" && ++calls % 2 == 1) return fail(Code::unavailable, "away");
    return {};
  };
  for (const ObjectRef& pod : live()) end(pod, true);
  executor.advance(1min);
  EXPECT_EQ(status().succeeded, 4);
  EXPECT_TRUE(has("Complete"));
  EXPECT_GT(calls, 8);
}

TEST_F(JobTest, AnIndexedJobRunsEachIndexOnce) {
  begin();
  add_job("'completions':4,'parallelism':2,'completionMode':'Indexed'");
  ASSERT_TRUE(live_of(0));
  ASSERT_TRUE(live_of(1));
  EXPECT_EQ(live_of(1).as<model::core_v1::Pod>().spec.hostname, "work-1");
  EXPECT_TRUE(live_of(1).meta().name.starts_with("work-1-"));
  const auto& env = live_of(1).as<model::core_v1::Pod>().spec.containers[0].env;
  ASSERT_EQ(env.size(), 1u);
  EXPECT_EQ(env[0].name, "JOB_COMPLETION_INDEX");
  end(live_of(1), true);
  EXPECT_EQ(status().completedIndexes, "1");
  ASSERT_TRUE(live_of(2));
  end(live_of(0), false);
  EXPECT_FALSE(live_of(0));
  executor.advance(11s);
  ASSERT_TRUE(live_of(0));
  end(live_of(0), true);
  end(live_of(2), true);
  end(live_of(3), true);
  EXPECT_TRUE(has("Complete"));
  EXPECT_EQ(status().completedIndexes, "0-3");
  EXPECT_EQ(status().succeeded, 4);
  EXPECT_EQ(status().failed, 1);
}

TEST_F(JobTest, AnIndexThatFailsTooOftenEndsAndTheOthersGoOn) {
  begin();
  add_job("'completions':2,'parallelism':2,'completionMode':'Indexed','backoffLimitPerIndex':1");
  end(live_of(0), false);
  executor.advance(11s);
  ASSERT_TRUE(live_of(0));
  EXPECT_EQ(live_of(0).meta().annotation("batch.kubernetes.io/job-index-failure-count"), "1");
  EXPECT_EQ(status().failed, 1);
  end(live_of(0), false);
  EXPECT_EQ(status().failedIndexes, "0");
  executor.advance(10min);
  EXPECT_FALSE(live_of(0));
  end(live_of(1), true);
  EXPECT_TRUE(has("Failed"));
  EXPECT_EQ(reason("Failed"), "FailedIndexes");
  EXPECT_EQ(status().completedIndexes, "1");
  EXPECT_EQ(status().failed, 2);
}

TEST_F(JobTest, TooManyFailedIndexesEndTheJob) {
  begin();
  add_job("'completions':4,'parallelism':4,'completionMode':'Indexed','backoffLimitPerIndex':0,'maxFailedIndexes':1");
  end(live_of(0), false);
  EXPECT_EQ(status().failedIndexes, "0");
  EXPECT_EQ(live().size(), 3u);
  end(live_of(2), false);
  EXPECT_EQ(reason("FailureTarget"), "MaxFailedIndexesExceeded");
  EXPECT_TRUE(live().empty());
  EXPECT_EQ(reason("Failed"), "MaxFailedIndexesExceeded");
}

TEST_F(JobTest, AFailurePolicyGivesAnIndexUp) {
  begin();
  add_job(
      "'completions':2,'parallelism':2,'completionMode':'Indexed','backoffLimitPerIndex':3,'podFailurePolicy':{'rules':["
      "{'action':'FailIndex','onExitCodes':{'operator':'In','values':[42]}}]}");
  end(live_of(0), false, 42);
  EXPECT_EQ(status().failedIndexes, "0");
  executor.advance(10min);
  EXPECT_FALSE(live_of(0));
  end(live_of(1), true);
  EXPECT_EQ(reason("Failed"), "FailedIndexes");
  EXPECT_EQ(status().completedIndexes, "1");
}

TEST_F(JobTest, AFailurePolicyEndsTheJobOrIgnoresAFailure) {
  begin();
  add_job(
      "'parallelism':2,'completions':2,'backoffLimit':0,'podReplacementPolicy':'Failed','podFailurePolicy':{'rules':["
      "{'action':'Ignore','onPodConditions':[{'type':'DisruptionTarget','status':'True'}]},"
      "{'action':'FailJob','onExitCodes':{'containerName':'c','operator':'In','values':[42]}}]}");
  const ObjectRef disrupted = live()[0];
  server.merge(client::pods, "x", disrupted.meta().name,
               R"({"status":{"phase":"Failed","conditions":[{"type":"DisruptionTarget","status":"True"}]}})", "status");
  executor.run();
  EXPECT_EQ(live().size(), 2u);
  EXPECT_FALSE(status().failed.has_value());
  end(live()[0], false, 42);
  EXPECT_EQ(reason("FailureTarget"), "PodFailurePolicy");
  EXPECT_TRUE(find_condition(status(), "FailureTarget")->message.ends_with(" failed with exit code 42 matching FailJob rule at index 1"));
  EXPECT_EQ(live().size(), 0u);
  executor.advance(1min);
  EXPECT_TRUE(has("Failed"));
}

TEST_F(JobTest, ASuccessPolicyEndsTheRest) {
  begin();
  add_job(
      "'completions':3,'parallelism':3,'completionMode':'Indexed','successPolicy':{'rules':[{'succeededIndexes':'0,2','succeededCount':1}]"
      "}");
  end(live_of(1), true);
  EXPECT_FALSE(has("SuccessCriteriaMet"));
  end(live_of(2), true);
  EXPECT_EQ(reason("SuccessCriteriaMet"), "SuccessPolicy");
  executor.advance(1min);
  EXPECT_TRUE(has("Complete"));
  EXPECT_EQ(reason("Complete"), "SuccessPolicy");
  EXPECT_EQ(status().completedIndexes, "1,2");
  EXPECT_EQ(live().size(), 0u);
}

TEST_F(JobTest, ASuspendedJobGivesItsPodsBackWithoutAFailure) {
  begin();
  add_job("'parallelism':2,'completions':2,'backoffLimit':0");
  executor.advance(5s);
  change("{'spec':{'suspend':true}}");
  executor.advance(1min);
  EXPECT_EQ(live().size(), 0u);
  EXPECT_TRUE(has("Suspended"));
  EXPECT_FALSE(status().failed.has_value());
  change("{'spec':{'suspend':false}}");
  EXPECT_EQ(live().size(), 2u);
  EXPECT_FALSE(has("Suspended"));
  EXPECT_EQ(status().startTime, now());
  change("{'spec':{'parallelism':1}}");
  EXPECT_EQ(live().size(), 1u);
  EXPECT_FALSE(has("Failed"));
}

TEST_F(JobTest, ADeadlineEndsTheJob) {
  begin();
  add_job("'parallelism':1,'activeDeadlineSeconds':60");
  executor.advance(59s);
  EXPECT_EQ(live().size(), 1u);
  executor.advance(2s);
  executor.advance(1min);
  EXPECT_TRUE(has("Failed"));
  EXPECT_EQ(reason("Failed"), "DeadlineExceeded");
  EXPECT_EQ(live().size(), 0u);
}

TEST_F(JobTest, AFinishedJobGoesWhenItsTimeIsOver) {
  begin();
  add_job("'parallelism':1,'ttlSecondsAfterFinished':30");
  end(live()[0], true);
  executor.advance(29s);
  EXPECT_TRUE(server.find(client::jobs, "x", "work").meta().deletion_timestamp.empty());
  executor.advance(2s);
  const ObjectRef job = server.find(client::jobs, "x", "work");
  EXPECT_TRUE(!job || !job.meta().deletion_timestamp.empty());
}

TEST_F(JobTest, PodsAreAdoptedAndReleased) {
  begin();
  add_job("'completions':4,'parallelism':2");
  const std::string uid = server.find(client::jobs, "x", "work").meta().uid, name = live()[0].meta().name;
  server.merge(client::pods, "x", name, R"({"metadata":{"ownerReferences":null}})");
  executor.run();
  ASSERT_TRUE(server.find(client::pods, "x", name).meta().controller());
  EXPECT_EQ(server.find(client::pods, "x", name).meta().controller()->uid, uid);
  EXPECT_EQ(live().size(), 2u);
  server.merge(client::pods, "x", name, R"({"metadata":{"labels":{"job":null}}})");
  executor.run();
  EXPECT_FALSE(server.find(client::pods, "x", name).meta().controller());
  EXPECT_EQ(live().size(), 3u);  // the released one and two of the Job's own
  EXPECT_EQ(status().active, 2);
}

TEST_F(JobTest, APodWhoseJobIsGoneLosesItsFinalizer) {
  begin();
  add_job("'parallelism':1");
  server.erase(client::jobs, "x", "work");
  executor.run();
  ASSERT_EQ(server.all(client::pods, "x").size(), 1u);
  EXPECT_TRUE(server.all(client::pods, "x")[0].meta().finalizers.empty());
}

TEST_F(JobTest, AnotherControllersJobIsLeftAlone) {
  begin();
  add_job("'parallelism':1,'managedBy':'example.com/other'");
  EXPECT_EQ(live().size(), 0u);
  EXPECT_TRUE(status().startTime.empty());
}

}  // namespace
}  // namespace estiba::controllers
