#include "scheduler/scheduler.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "base/fake_executor.h"
#include "client/testing/fake_client.h"
#include "model/types/core_v1.h"
#include "scheduler/queue.h"

namespace estiba::scheduler {
namespace {

using namespace std::chrono_literals;
using client::Resource;
using client::testing::FakeClient;
using model::ObjectRef;
using model::core_v1::Pod;

struct SchedulerTest : ::testing::Test {
  FakeExecutor executor;
  FakeClient server{executor};
  std::unique_ptr<Scheduler> scheduler;

  void start(Configuration configuration = {}) {
    scheduler = std::make_unique<Scheduler>(server, executor, std::move(configuration));
    scheduler->start();
    executor.run();
  }
  void node(const std::string& name, const std::string& cpu, const std::string& most = "110") {
    server.add(client::nodes, "",
               R"({"apiVersion":"v1","kind":"Node","metadata":{"name":")" + name + R"("},"spec":{},"status":{"allocatable":{"cpu":")" +
                   cpu + R"(","memory":"64Gi","pods":")" + most + R"("}}})");
  }
  void pod(const std::string& name, const std::string& cpu, const std::string& more = "") {
    server.add(client::pods, "x",
               R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":")" + name +
                   R"("},"spec":{"containers":[{"name":"c","resources":{"requests":{"cpu":")" + cpu + R"("}}}])" + more +
                   R"(},"status":{"phase":"Pending"}})");
  }
  std::string where(const std::string& name) {
    const ObjectRef pod = server.find(client::pods, "x", name);
    return pod ? pod.as<Pod>().spec.nodeName : "gone";
  }
  std::vector<std::string> events() {
    std::vector<std::string> out;
    for (const ObjectRef& event : server.all(client::events)) {
      const auto& typed = event.as<model::core_v1::Event>();
      out.push_back(typed.reason + ": " + typed.message);
    }
    return out;
  }
};

TEST_F(SchedulerTest, BindsAPodAndSaysSo) {
  node("a", "4");
  start();
  pod("p", "1");
  executor.run();
  EXPECT_EQ(where("p"), "a");
  EXPECT_EQ(events(), std::vector<std::string>{"Scheduled: Successfully assigned x/p to a"});
  EXPECT_EQ(executor.timers(), 0u);
}

TEST_F(SchedulerTest, PodsNameTheirProfile) {
  Configuration configuration;
  Profile meek = default_profile();
  meek.name = "meek";
  meek.preempts = false;
  configuration.profiles.push_back(meek);
  node("a", "4");
  start(std::move(configuration));
  pod("usual", "1");
  pod("by-name", "1", R"(,"schedulerName":"meek")");
  pod("somebody's", "1", R"(,"schedulerName":"other")");
  executor.run();
  pod("large", "4", R"(,"schedulerName":"meek","priority":5)");
  executor.run();
  EXPECT_EQ(where("usual") + where("by-name") + where("somebody's") + where("large"), "aa");
  std::map<std::string, std::string> by;
  for (const ObjectRef& event : server.all(client::events)) {
    const auto& typed = event.as<model::core_v1::Event>();
    by[typed.involvedObject.name + " " + typed.reason + " " + typed.message] = typed.source ? typed.source->component : "";
  }
  const std::map<std::string, std::string> told{
      {"usual Scheduled Successfully assigned x/usual to a", "default-scheduler"},
      {"by-name Scheduled Successfully assigned x/by-name to a", "meek"},
      {"large FailedScheduling 0/1 nodes are available: 1 Insufficient cpu.", "meek"},
  };
  EXPECT_EQ(by, told);
}

TEST_F(SchedulerTest, WhatFitsNowhereGetsTheConditionAndIsTriedWhenANodeAppears) {
  start();
  pod("p", "1");
  executor.run();
  EXPECT_EQ(where("p"), "");
  const auto& conditions = server.find(client::pods, "x", "p").as<Pod>().status.conditions;
  ASSERT_EQ(conditions.size(), 1u);
  EXPECT_EQ(conditions[0].type + conditions[0].status + conditions[0].reason, "PodScheduledFalseUnschedulable");
  EXPECT_EQ(conditions[0].message, "no nodes available to schedule pods");
  node("a", "4");
  executor.advance(60ms);
  EXPECT_EQ(where("p"), "a");
}

TEST_F(SchedulerTest, RoomThatBecomesFreeIsUsed) {
  node("a", "1");
  start();
  pod("p", "1");
  pod("q", "1");
  executor.advance(1s);
  EXPECT_EQ(where("p") + where("q"), "a");
  server.erase(client::pods, "x", where("p").empty() ? "q" : "p", {.grace_seconds = 0});
  executor.advance(10s);
  EXPECT_EQ(where("p") == "a" || where("q") == "a", true);
  EXPECT_EQ(server.all(client::pods).size(), 1u);
}

TEST_F(SchedulerTest, WhatAResizeGivesBackIsUsedWhenItIsGivenBack) {
  node("a", "1");
  start();
  pod("p", "800m");
  executor.run();
  pod("q", "500m");
  executor.advance(1s);
  const auto tell = [&](const std::string& status) {
    server.merge(client::pods, "x", "p", R"({"status":{"containerStatuses":[{"name":"c",)" + status + "}]}}", "status");
    executor.advance(20s);
  };
  tell(R"("allocatedResources":{"cpu":"800m"},"resources":{"requests":{"cpu":"800m"}})");
  server.merge(client::pods, "x", "p",
               R"({"metadata":{"generation":2},"spec":{"containers":[{"name":"c","resources":{"requests":{"cpu":"500m"}}}]}})");
  executor.advance(20s);
  EXPECT_EQ(where("q"), "") << "it has not been given back yet";
  tell(R"("allocatedResources":{"cpu":"500m"},"resources":{"requests":{"cpu":"800m"}})");
  EXPECT_EQ(where("q"), "");
  tell(R"("allocatedResources":{"cpu":"500m"},"resources":{"requests":{"cpu":"500m"}})");
  EXPECT_EQ(where("q"), "a");
}

TEST_F(SchedulerTest, NodesDeclareWhatPodsNeedOfThem) {
  node("a", "4");
  start();
  server.add(client::pods, "x",
             R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"initContainers":[{"name":"i","restartPolicyRules":[)"
             R"({"action":"RestartAllContainers","exitCodes":{"operator":"In","values":[1]}}]}],"containers":[{"name":"c"}]}})");
  pod("q", "1");
  executor.advance(1s);
  EXPECT_EQ(where("q"), "a");
  EXPECT_EQ(server.find(client::pods, "x", "p").as<Pod>().status.conditions.at(0).message,
            "0/1 nodes are available: 1 node(s) didn't match Pod's required features. preemption: 0/1 nodes are available: 1 Preemption is "
            "not helpful for scheduling.");
  server.merge(client::nodes, "", "a", R"({"status":{"declaredFeatures":["RestartAllContainersOnContainerExits"]}})", "status");
  executor.advance(20s);
  EXPECT_EQ(where("p"), "a");
}

TEST_F(SchedulerTest, HigherPriorityGoesFirst) {
  start();
  for (int i = 0; i < 3; ++i) pod("low" + std::to_string(i), "1");
  pod("high", "1", R"(,"priority":1000)");
  executor.run();
  node("a", "1");
  executor.advance(1s);
  EXPECT_EQ(where("high"), "a");
}

TEST_F(SchedulerTest, PodsOfOtherSchedulersAndGatedPodsAreLeftAlone) {
  node("a", "4");
  start();
  pod("p", "1", R"(,"schedulerName":"other")");
  pod("q", "1", R"(,"schedulingGates":[{"name":"g"}])");
  executor.advance(1s);
  EXPECT_EQ(where("p") + where("q"), "");
  server.merge(client::pods, "x", "q", R"({"spec":{"schedulingGates":null}})");
  executor.advance(1s);
  EXPECT_EQ(where("q"), "a");
}

TEST_F(SchedulerTest, WhoWantsToBeNearSomebodyIsTriedWhenThatOneComes) {
  node("a", "4");
  server.merge(client::nodes, "", "a", R"({"metadata":{"labels":{"zone":"1"}}})");
  start();
  pod("fan", "1",
      R"(,"affinity":{"podAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[{"topologyKey":"zone","namespaceSelector":{"matchLabels":{"stage":"yes"}},"labelSelector":{"matchLabels":{"app":"star"}}}]}})");
  executor.advance(1s);
  EXPECT_EQ(where("fan"), "");
  pod("star", "1");
  server.merge(client::pods, "x", "star", R"({"metadata":{"labels":{"app":"star"}}})");
  executor.advance(1s);
  EXPECT_EQ(where("star"), "a");
  EXPECT_EQ(where("fan"), "") << "the namespace is not selected yet";
  server.add(client::namespaces, "", R"({"apiVersion":"v1","kind":"Namespace","metadata":{"name":"x","labels":{"stage":"yes"}}})");
  executor.advance(1s);
  EXPECT_EQ(where("fan"), "a");
}

TEST_F(SchedulerTest, AFailedBindingIsTriedAgainAndItsPlaceIsFreeMeanwhile) {
  node("a", "1");
  start();
  int failures = 1;
  server.before_call = [&](std::string_view verb, Resource, std::string_view) -> Result<void> {
    if (verb == "call" && failures-- > 0) return fail(Code::unavailable, "away");
    return {};
  };
  pod("p", "1");
  executor.run();
  EXPECT_EQ(where("p"), "");
  executor.advance(1s);
  EXPECT_EQ(where("p"), "a");
}

TEST_F(SchedulerTest, OurOwnStatusWritesCauseNoLoop) {
  start();
  pod("p", "1");
  executor.advance(4min);
  EXPECT_LE(server.calls["patch pods"], 1);
  EXPECT_LE(server.calls["create events"], 1);
}

TEST_F(SchedulerTest, ARestartKnowsWhatIsPlaced) {
  node("a", "2");
  start();
  pod("p", "1");
  executor.run();
  scheduler.reset();
  pod("q", "1");
  pod("r", "1");
  start();
  executor.advance(1s);
  EXPECT_EQ(where("q") + where("r"), "a");
}

TEST_F(SchedulerTest, AThousandPodsFillFiftyNodesEvenlyAndNeverTooFull) {
  for (int i = 0; i < 50; ++i) node("n" + std::to_string(i), "4", "30");
  start();
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 1000; ++i) pod("p" + std::to_string(i), "150m");
  executor.run();
  const auto took = std::chrono::steady_clock::now() - begin;
  std::map<std::string, int> count;
  for (const ObjectRef& object : server.all(client::pods)) ++count[object.as<Pod>().spec.nodeName];
  EXPECT_EQ(count.size(), 50u);
  for (const auto& [name, n] : count) EXPECT_EQ(n, 20) << name;
  RecordProperty("milliseconds", int(std::chrono::duration_cast<std::chrono::milliseconds>(took).count()));
}

TEST(Queue, RestsLongerAfterEachAttempt) {
  FakeExecutor executor;
  Queue queue(executor);
  queue.add("p", 0);
  Duration rested = 0ms;
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(queue.pop(), "p");
    queue.put_back_unschedulable("p", 0);
    queue.wake_all();
    Duration waited = 0ms;
    for (; queue.empty(); waited += 10ms) executor.advance(10ms);
    EXPECT_GT(waited, rested);
    rested = waited;
  }
}

TEST(Queue, WhatWaitsIsTriedAgainAfterFiveMinutesAtTheLatest) {
  FakeExecutor executor;
  Queue queue(executor);
  queue.add("p", 0);
  queue.pop();
  queue.put_back_unschedulable("p", 0);
  executor.advance(5min);
  EXPECT_FALSE(queue.empty());
  queue.remove("p");
  EXPECT_EQ(queue.size(), 0u);
  EXPECT_EQ(executor.timers(), 0u);
}

}  // namespace
}  // namespace estiba::scheduler
