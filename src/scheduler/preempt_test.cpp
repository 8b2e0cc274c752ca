#include <gtest/gtest.h>

#include "base/fake_executor.h"
#include "client/testing/fake_client.h"
#include "model/types/core_v1.h"
#include "scheduler/scheduler.h"

namespace estiba::scheduler {
namespace {

using namespace std::chrono_literals;
using client::testing::FakeClient;
using model::ObjectRef;
using model::core_v1::Pod;

struct PreemptionTest : ::testing::Test {
  FakeExecutor executor;
  FakeClient server{executor};
  std::unique_ptr<Scheduler> scheduler;

  void start() {
    scheduler = std::make_unique<Scheduler>(server, executor);
    scheduler->start();
    executor.run();
  }
  void node(const std::string& name, const std::string& cpu) {
    server.add(client::nodes, "",
               R"({"apiVersion":"v1","kind":"Node","metadata":{"name":")" + name + R"(","labels":{"kubernetes.io/hostname":")" + name +
                   R"("}},"spec":{},"status":{"allocatable":{"cpu":")" + cpu + R"(","memory":"64Gi","pods":"110"}}})");
  }
  void pod(const std::string& name, const std::string& cpu, int priority, const std::string& more = "", const std::string& label = "x") {
    server.add(client::pods, "x",
               R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":")" + name + R"(","labels":{"app":")" + label +
                   R"("}},"spec":{"terminationGracePeriodSeconds":30,"priority":)" + std::to_string(priority) +
                   R"(,"containers":[{"name":"c","resources":{"requests":{"cpu":")" + cpu + R"("}}}])" + more +
                   R"(},"status":{"phase":"Pending"}})");
    executor.advance(1s);
  }
  ObjectRef find(const std::string& name) { return server.find(client::pods, "x", name); }
  std::string where(const std::string& name) { return find(name) ? find(name).as<Pod>().spec.nodeName : "gone"; }
  bool going(const std::string& name) { return !find(name) || !find(name).meta().deletion_timestamp.empty(); }
  void end(const std::string& name) {
    server.erase(client::pods, "x", name, {.grace_seconds = 0});
    executor.advance(20s);
  }
};

TEST_F(PreemptionTest, TheLeastImportantGoesAndItsRoomIsKept) {
  node("a", "2");
  start();
  pod("low", "1", 1);
  pod("middle", "1", 5);
  pod("high", "1", 10);
  EXPECT_TRUE(going("low"));
  EXPECT_FALSE(going("middle"));
  const ObjectRef low = find("low");
  const auto& conditions = low.as<Pod>().status.conditions;
  ASSERT_FALSE(conditions.empty());
  EXPECT_EQ(conditions.back().type + conditions.back().reason, "DisruptionTargetPreemptionByScheduler");
  EXPECT_EQ(find("high").as<Pod>().status.nominatedNodeName, "a");
  // Somebody less important does not take the room meanwhile.
  pod("sneaky", "1", 4);
  end("low");
  EXPECT_EQ(where("high"), "a");
  EXPECT_EQ(where("sneaky"), "");
  EXPECT_FALSE(going("middle")) << "once was enough";
}

TEST_F(PreemptionTest, EqualsAndTheMeekPreemptNobody) {
  node("a", "1");
  start();
  pod("there", "1", 5);
  pod("equal", "1", 5);
  pod("meek", "1", 9, R"(,"preemptionPolicy":"Never")");
  EXPECT_FALSE(going("there"));
  const auto& conditions = find("equal").as<Pod>().status.conditions;
  ASSERT_EQ(conditions.size(), 1u);
  EXPECT_EQ(
      conditions[0].message,
      "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.");
}

TEST_F(PreemptionTest, WhereNothingHelpsNobodyGoes) {
  node("a", "1");
  start();
  pod("there", "1", 1);
  pod("huge", "8", 9);
  EXPECT_FALSE(going("there"));
  EXPECT_TRUE(find("huge").as<Pod>().status.conditions[0].message.ends_with("1 Preemption is not helpful for scheduling."));
}

TEST_F(PreemptionTest, TheNodeWithTheCheaperVictimsIsChosen) {
  node("a", "2");
  start();
  pod("a1", "1", 3);
  pod("a2", "1", 3);
  node("b", "2");
  executor.advance(1s);
  pod("b1", "2", 2);
  pod("high", "2", 9);
  EXPECT_TRUE(going("b1"));
  EXPECT_FALSE(going("a1"));
}

TEST_F(PreemptionTest, WhoCannotBeBorneIsPreempted) {
  node("a", "4");
  start();
  pod("lonely", "1", 1,
      R"(,"affinity":{"podAntiAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[{"topologyKey":"kubernetes.io/hostname","labelSelector":{"matchLabels":{"app":"x"}}}]}})",
      "lonely");
  pod("other", "1", 1, "", "other");
  pod("high", "1", 9);
  EXPECT_TRUE(going("lonely"));
  EXPECT_FALSE(going("other"));
  EXPECT_EQ(find("high").as<Pod>().status.nominatedNodeName, "a");
  end("lonely");
  EXPECT_EQ(where("high"), "a");
  // Whom a pod wants near is not who could go.
  pod("friend", "1", 20,
      R"(,"affinity":{"podAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[{"topologyKey":"kubernetes.io/hostname","labelSelector":{"matchLabels":{"app":"nobody"}}}]}})",
      "friend");
  EXPECT_EQ(find("friend").as<Pod>().status.conditions[0].message,
            "0/1 nodes are available: 1 node(s) didn't match pod affinity rules. preemption: 0/1 nodes are available: 1 Preemption is not "
            "helpful for scheduling.");
}

TEST_F(PreemptionTest, BudgetsAreKeptWhereThereIsAChoice) {
  server.add(
      {"policy", "v1", "poddisruptionbudgets"}, "x",
      R"({"apiVersion":"policy/v1","kind":"PodDisruptionBudget","metadata":{"name":"b"},"spec":{"selector":{"matchLabels":{"app":"kept"}}},)"
      R"("status":{"disruptionsAllowed":0,"currentHealthy":1,"desiredHealthy":1,"expectedPods":1}})");
  node("a", "2");
  start();
  pod("kept", "1", 1, "", "kept");
  pod("other", "1", 3);
  pod("high", "1", 9);
  EXPECT_FALSE(going("kept"));
  EXPECT_TRUE(going("other"));
  pod("higher", "2", 20);
  EXPECT_TRUE(going("kept")) << "without a choice a budget does not stop it";
}

TEST_F(PreemptionTest, AStormOfPreemptorsTakesNoMoreThanItNeeds) {
  for (int i = 0; i < 10; ++i) node("n" + std::to_string(i), "2");
  start();
  for (int i = 0; i < 20; ++i) pod("low" + std::to_string(i), "1", 1);
  for (int i = 0; i < 40; ++i) pod("high" + std::to_string(i), "1", 10);
  int going_now = 0;
  for (int i = 0; i < 20; ++i) going_now += going("low" + std::to_string(i));
  EXPECT_EQ(going_now, 20);
  const int before = server.calls["remove pods"];
  executor.advance(1h);
  EXPECT_EQ(server.calls["remove pods"], before);  // who waits for room preempts nobody else
  EXPECT_LE(before, 20);
  for (int i = 0; i < 20; ++i)
    if (find("low" + std::to_string(i))) end("low" + std::to_string(i));
  int placed = 0;
  for (int i = 0; i < 40; ++i) placed += !where("high" + std::to_string(i)).empty();
  EXPECT_EQ(placed, 20);
}

}  // namespace
}  // namespace estiba::scheduler
