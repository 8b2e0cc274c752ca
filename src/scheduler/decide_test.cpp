#include "scheduler/decide.h"

#include <gtest/gtest.h>

#include <chrono>
#include <random>

namespace estiba::scheduler {
namespace {

model::ObjectRef object(const std::string& text) {
  auto made = model::Object::parse(text);
  EXPECT_TRUE(made) << (made ? "" : made.error().message);
  return {*made, 1};
}

struct DecideTest : ::testing::Test {
  Cluster cluster;
  int pods = 0;

  void node(const std::string& name, const std::string& cpu, const std::string& memory, const std::string& spec = "{}",
            const std::string& labels = "{}", const std::string& most = "110") {
    cluster.set_node(object(R"({"apiVersion":"v1","kind":"Node","metadata":{"name":")" + name + R"(","labels":)" + labels + R"(},"spec":)" +
                            spec + R"(,"status":{"allocatable":{"cpu":")" + cpu + R"(","memory":")" + memory + R"(","pods":")" + most +
                            R"(","ephemeral-storage":"10Gi"}}})"));
  }
  model::ObjectRef pod(const std::string& spec) {
    const std::string name = "p" + std::to_string(++pods);
    return object(R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":")" + name + R"(","namespace":"x","uid":")" + name +
                  R"("},"spec":)" + spec + "}");
  }
  static std::string asks(const std::string& cpu, const std::string& memory, const std::string& more = "") {
    return R"({"containers":[{"name":"c","resources":{"requests":{"cpu":")" + cpu + R"(","memory":")" + memory + R"("}}}])" + more + "}";
  }
  Decision decide_for(const std::string& spec) { return decide(default_profile(), cluster, *demand_of(pod(spec)), 0); }
  std::string where(const std::string& spec) {
    const Decision decision = decide_for(spec);
    return decision.node ? decision.node->name : decision.message;
  }
  std::string place(const std::string& spec) {
    const DemandPtr demand = demand_of(pod(spec));
    const Decision decision = decide(default_profile(), cluster, *demand, 0);
    if (!decision.node) return decision.message;
    cluster.assume(demand, decision.node->name);
    return decision.node->name;
  }
};

TEST_F(DecideTest, WithoutNodesItSaysSo) { EXPECT_EQ(where(asks("1", "1Gi")), "no nodes available to schedule pods"); }

TEST_F(DecideTest, ReasonsAreCountedAndWordedAsKubernetesDoes) {
  node("a", "1", "1Gi");
  node("b", "4", "1Gi");
  node("c", "4", "8Gi", R"({"unschedulable":true})");
  node("d", "4", "8Gi", R"({"taints":[{"key":"gpu","value":"yes","effect":"NoSchedule"}]})");
  node("e", "4", "8Gi", "{}", "{}", "0");
  EXPECT_EQ(where(asks("2", "2Gi")),
            "0/5 nodes are available: 1 Insufficient cpu, 1 Too many pods, 1 node(s) had untolerated taint {gpu: yes}, 1 node(s) were "
            "unschedulable, 2 Insufficient memory.");
}

TEST_F(DecideTest, WhatIsPlacedCountsAndWhatGoesIsFreeAgain) {
  node("a", "1", "1Gi");
  EXPECT_EQ(place(asks("600m", "1Mi")), "a");
  EXPECT_EQ(where(asks("600m", "1Mi")), "0/1 nodes are available: 1 Insufficient cpu.");
  cluster.remove_pod("p1");
  EXPECT_EQ(where(asks("600m", "1Mi")), "a");
}

TEST_F(DecideTest, ConfirmingAnAssumedPodCountsItOnce) {
  node("a", "1", "1Gi");
  EXPECT_EQ(place(asks("500m", "1Mi")), "a");
  cluster.set_pod(object(
      R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p1","namespace":"x","uid":"p1"},"spec":{"nodeName":"a","containers":[{"name":"c","resources":{"requests":{"cpu":"500m"}}}]}})"));
  EXPECT_EQ(place(asks("500m", "1Mi")), "a");
  EXPECT_EQ(cluster.nodes()[0]->used.cpu, 1000);
}

TEST_F(DecideTest, AnAssumedPodThatComesTrueIsHeld) {
  node("a", "1", "1Gi");
  const auto bound = [](const std::string& node, const std::string& meta) {
    return object(R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p1","namespace":"x","uid":"p1")" + meta +
                  R"(},"spec":{"nodeName":")" + node + R"(","containers":[{"name":"c","resources":{"requests":{"cpu":"500m"}}}]}})");
  };
  EXPECT_FALSE(cluster.confirm(bound("a", "")));
  EXPECT_EQ(place(asks("500m", "1Mi")), "a");
  EXPECT_TRUE(cluster.confirm(bound("a", "")));
  EXPECT_TRUE(cluster.confirm(bound("a", R"(,"annotations":{"k":"v"})"))) << "which matters to nobody";
  EXPECT_FALSE(cluster.confirm(bound("b", ""))) << "somebody else was quicker";
  for (const char* change : {R"(,"labels":{"k":"v"})", R"(,"generation":2)", R"(,"deletionTimestamp":"2026-01-01T00:00:00Z")"})
    EXPECT_FALSE(cluster.confirm(bound("a", change))) << change;
}

TEST_F(DecideTest, OnlyTheNewestVersionOfAPlacedPodIsKept) {
  node("a", "1", "1Gi");
  std::weak_ptr<const model::Object> first, second;
  {
    const auto waiting =
        object(R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","namespace":"x","uid":"p"},"spec":{"containers":[]}})");
    first = waiting.object;
    cluster.assume(demand_of(waiting), "a");
  }
  {
    const auto runs = object(
        R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","namespace":"x","uid":"p"},"spec":{"nodeName":"a","containers":[]},"status":{"startTime":"2026-01-01T00:00:00Z"}})");
    second = runs.object;
    EXPECT_FALSE(first.expired());
    ASSERT_TRUE(cluster.confirm(runs));
  }
  EXPECT_TRUE(first.expired());
  EXPECT_FALSE(second.expired());
  EXPECT_EQ(cluster.nodes()[0]->placed.at(0)->typed().status.startTime, "2026-01-01T00:00:00Z");
  cluster.remove_pod("p");
  EXPECT_TRUE(second.expired());
}

TEST_F(DecideTest, InitContainersCountByTheirMaximumAndSidecarsAlways) {
  const auto demand = demand_of(pod(
      R"({"overhead":{"cpu":"10m"},"containers":[{"name":"a","resources":{"requests":{"cpu":"100m"}}},{"name":"b","resources":{"limits":{"cpu":"200m"}}}],
    "initContainers":[{"name":"i","resources":{"requests":{"cpu":"50m"}}},{"name":"s","restartPolicy":"Always","resources":{"requests":{"cpu":"100m"}}},{"name":"j","resources":{"requests":{"cpu":"700m"}}}]})"));
  EXPECT_EQ(demand->request.cpu, 810);  // 700m beside the sidecar's 100m, and the overhead
}

// A placed pod whose spec asks for `spec`, as its node tells of it.
static model::ObjectRef resizing(const std::string& spec, const std::string& allocated, const std::string& actual,
                                 const std::string& conditions = "") {
  const auto cpu = [](const std::string& text) { return R"({"cpu":")" + text + R"("})"; };
  return object(
      R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","namespace":"x","uid":"p","generation":2},"spec":{"nodeName":"a","containers":[{"name":"c","resources":{"requests":)" +
      cpu(spec) + R"(}}]},"status":{"conditions":[)" + conditions + R"(],"containerStatuses":[{"name":"c","allocatedResources":)" +
      cpu(allocated) + R"(,"resources":{"requests":)" + cpu(actual) + "}}]}}");
}

TEST_F(DecideTest, WhileAPodIsResizedTheMostOfItCounts) {
  const auto cpu = [](const std::string& spec, const std::string& allocated, const std::string& actual, const std::string& pending = "") {
    const std::string condition = pending.empty() ? "" : R"({"type":"PodResizePending","status":"True","reason":")" + pending + R"("})";
    return demand_of(resizing(spec, allocated, actual, condition))->request.cpu;
  };
  EXPECT_EQ(cpu("300m", "100m", "100m"), 300) << "what it is to have";
  EXPECT_EQ(cpu("100m", "300m", "300m"), 300) << "what it has still";
  EXPECT_EQ(cpu("100m", "100m", "300m"), 300) << "until it is taken away";
  EXPECT_EQ(cpu("100m", "200m", "100m"), 200);
  EXPECT_EQ(cpu("300m", "100m", "100m", "Deferred"), 300);
  EXPECT_EQ(cpu("300m", "100m", "100m", "Infeasible"), 100) << "what it will never have does not count";
}

TEST_F(DecideTest, PodsResourcesAndSidecarsAreResizedToo) {
  const auto demand = demand_of(object(
      R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","namespace":"x","uid":"p"},"spec":{"resources":{"requests":{"memory":"64Mi"}},"containers":[{"name":"c"}],"initContainers":[{"name":"s","restartPolicy":"Always","resources":{"requests":{"cpu":"100m"}}},{"name":"i","resources":{"requests":{"cpu":"50m"}}}]},
    "status":{"resources":{"requests":{"memory":"96Mi"}},"allocatedResources":{"memory":"64Mi"},"initContainerStatuses":[{"name":"s","allocatedResources":{"cpu":"250m"},"resources":{"requests":{"cpu":"100m"}}},{"name":"i","allocatedResources":{"cpu":"900m"},"resources":{"requests":{"cpu":"900m"}}}]}})"));
  EXPECT_EQ(demand->request.cpu, 300);  // the init container's 50m beside the sidecar's 250m
  EXPECT_EQ(demand->request.memory, 96 << 20);
}

// Whatever follows on whatever: what is held counts as it would if it were counted anew.
TEST_F(DecideTest, AStatusIsHeldOnlyWhereItCountsTheSame) {
  node("a", "4", "8Gi");
  const char* amounts[] = {"100m", "0.1", "200m", "400m"};
  std::mt19937 random(7);
  const auto any = [&] { return std::string(amounts[random() % std::size(amounts)]); };
  model::ObjectRef now = resizing("100m", "100m", "100m");
  cluster.set_pod(now);
  size_t held = 0;
  for (int step = 0; step < 2000; ++step) {
    const bool infeasible = random() % 4 == 0;
    now = resizing("100m", any(), any(), infeasible ? R"({"type":"PodResizePending","status":"True","reason":"Infeasible"})" : "");
    if (cluster.confirm(now)) {
      ++held;
    } else {
      const int64_t before = cluster.nodes()[0]->used.cpu;
      const bool less = cluster.set_pod(now);
      EXPECT_EQ(less, cluster.nodes()[0]->used.cpu < before);
      EXPECT_NE(cluster.nodes()[0]->used.cpu, before) << "a status that counts the same was counted anew";
    }
    ASSERT_EQ(cluster.nodes()[0]->used.cpu, demand_of(now)->request.cpu) << step;
  }
  EXPECT_GT(held, 100u);
}

TEST_F(DecideTest, SelectorsAndAffinityHold) {
  node("a", "4", "8Gi", "{}", R"({"disk":"hdd","zone":"1"})");
  node("b", "4", "8Gi", "{}", R"({"disk":"ssd","cores":"8"})");
  EXPECT_EQ(where(asks("1", "1Gi", R"(,"nodeSelector":{"disk":"ssd"})")), "b");
  EXPECT_EQ(where(asks("1", "1Gi", R"(,"nodeSelector":{"disk":"tape"})")),
            "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.");
  const auto term = [](const std::string& expression) {
    return R"(,"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchExpressions":[)" +
           expression + "]}]}}}";
  };
  EXPECT_EQ(where(asks("1", "1Gi", term(R"({"key":"zone","operator":"Exists"})"))), "a");
  EXPECT_EQ(where(asks("1", "1Gi", term(R"({"key":"zone","operator":"DoesNotExist"})"))), "b");
  EXPECT_EQ(where(asks("1", "1Gi", term(R"({"key":"cores","operator":"Gt","values":["4"]})"))), "b");
  EXPECT_EQ(where(asks("1", "1Gi", term(R"({"key":"disk","operator":"NotIn","values":["ssd"]})"))), "a");
  EXPECT_EQ(
      where(asks(
          "1", "1Gi",
          R"(,"affinity":{"nodeAffinity":{"preferredDuringSchedulingIgnoredDuringExecution":[{"weight":5,"preference":{"matchExpressions":[{"key":"zone","operator":"In","values":["1"]}]}}]}})")),
      "a");
}

TEST_F(DecideTest, TolerationsOpenTaintedNodes) {
  node("a", "4", "8Gi", R"({"taints":[{"key":"node.kubernetes.io/not-ready","effect":"NoSchedule"}]})");
  EXPECT_EQ(where(asks("1", "1Gi")), "0/1 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/not-ready: }.");
  EXPECT_EQ(where(asks("1", "1Gi", R"(,"tolerations":[{"key":"node.kubernetes.io/not-ready","operator":"Exists"}])")), "a");
  EXPECT_EQ(where(asks("1", "1Gi", R"(,"tolerations":[{"operator":"Exists"}])")), "a");
}

TEST_F(DecideTest, PreferNoScheduleCountsAgainstANode) {
  node("a", "4", "8Gi", R"({"taints":[{"key":"old","effect":"PreferNoSchedule"}]})");
  node("b", "2", "4Gi");
  EXPECT_EQ(where(asks("1", "1Gi")), "b");
}

TEST_F(DecideTest, HostPortsAreTakenOnce) {
  node("a", "4", "8Gi");
  const std::string spec = R"({"containers":[{"name":"c","ports":[{"containerPort":80,"hostPort":8080,"protocol":"TCP"}]}]})";
  EXPECT_EQ(place(spec), "a");
  EXPECT_EQ(where(spec), "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports.");
  EXPECT_EQ(where(R"({"containers":[{"name":"c","ports":[{"containerPort":80,"hostPort":8080,"protocol":"UDP"}]}]})"), "a");
}

TEST_F(DecideTest, PodsSpreadOverEqualNodes) {
  for (const char* name : {"a", "b", "c"}) node(name, "4", "8Gi");
  std::map<std::string, int> count;
  for (int i = 0; i < 9; ++i) ++count[place(R"({"containers":[{"name":"c"}]})")];
  EXPECT_EQ(count, (std::map<std::string, int>{{"a", 3}, {"b", 3}, {"c", 3}}));
}

TEST_F(DecideTest, PodsOfAnUnknownNodeCountOnceItAppears) {
  cluster.set_pod(object(
      R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"q","namespace":"x","uid":"q"},"spec":{"nodeName":"a","containers":[{"name":"c","resources":{"requests":{"cpu":"3"}}}]}})"));
  EXPECT_EQ(where(asks("2", "1Gi")), "no nodes available to schedule pods");
  node("a", "4", "8Gi");
  EXPECT_EQ(where(asks("2", "1Gi")), "0/1 nodes are available: 1 Insufficient cpu.");
}

}  // namespace
}  // namespace estiba::scheduler
