#include "autoscale/autoscaler.h"

#include <gtest/gtest.h>

#include "autoscale/testing/cloud.h"
#include "autoscale/testing/groups.h"
#include "autoscale/world.h"
#include "base/fake_executor.h"
#include "base/time.h"
#include "client/testing/fake_client.h"
#include "scheduler/scheduler.h"

namespace estiba::autoscale {
namespace {

using namespace std::chrono_literals;
using client::testing::FakeClient;
using model::ObjectRef;
using model::core_v1::Pod;
using testing::Cloud;
using testing::group;

// The scheduler, the autoscaler and machines that a test boots.
struct AutoscalerTest : ::testing::Test {
  FakeExecutor executor;
  FakeClient server{executor};
  Cloud cloud;
  Options options;
  std::unique_ptr<scheduler::Scheduler> scheduler;
  std::unique_ptr<Autoscaler> autoscaler;

  AutoscalerTest() {
    options.groups.groups = {group("workers", "4", "8Gi", 3)};
    options.groups.scale_down.after_add = 1min;
    options.groups.scale_down.unneeded = 2min;
    server.add(client::namespaces, "", R"({"apiVersion":"v1","kind":"Namespace","metadata":{"name":"x"}})");
  }
  void start() {
    scheduler = std::make_unique<scheduler::Scheduler>(server, executor, scheduler::Configuration{});
    scheduler->start();
    start_autoscaler();
  }
  void start_autoscaler() {
    autoscaler = std::make_unique<Autoscaler>(server, executor, cloud, options);
    autoscaler->start();
    executor.run();
  }
  /// With an owner, unless `meta` says otherwise.
  void pod(const std::string& name, const std::string& cpu, const std::string& spec = "", std::string meta = "") {
    if (meta.empty()) meta = R"("ownerReferences":[{"apiVersion":"x/v1","kind":"Thing","name":"t","uid":"t","controller":true}])";
    server.add(client::pods, "x",
               R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":")" + name + R"(",)" + meta +
                   R"(},"spec":{"terminationGracePeriodSeconds":0,"containers":[{"name":"c","resources":{"requests":{"cpu":")" + cpu +
                   R"(","memory":"1Gi"}}}])" + spec + R"(},"status":{"phase":"Pending"}})");
  }
  void boot(const std::string& name) {
    const NodeGroup& of = *options.groups.find(cloud.machines.at(name).first);
    std::string labels;
    for (const auto& [key, value] : of.node.labels) labels += (labels.empty() ? "\"" : ",\"") + key + "\":\"" + value + "\"";
    server.add(client::nodes, "",
               R"({"apiVersion":"v1","kind":"Node","metadata":{"name":")" + name + R"(","creationTimestamp":")" +
                   format_rfc3339(executor.wall_now()) + R"(","labels":{)" + labels +
                   R"(}},"spec":{},"status":{"conditions":[{"type":"Ready","status":"True"}],"allocatable":{"cpu":")" +
                   of.node.allocatable.at("cpu") + R"(","memory":")" + of.node.allocatable.at("memory") + R"(","pods":"10"}}})");
    executor.run();
  }
  void boot_all() {
    for (const auto& [name, machine] : std::map(cloud.machines))
      if (!server.find(client::nodes, "", name)) boot(name);
    executor.advance(1s);
  }
  std::string where(const std::string& name) {
    const ObjectRef pod = server.find(client::pods, "x", name);
    return pod ? pod.as<Pod>().spec.nodeName : "gone";
  }
  std::vector<std::string> events(std::string_view reason) {
    std::vector<std::string> out;
    for (const ObjectRef& event : server.all(client::events)) {
      const auto& typed = event.as<model::core_v1::Event>();
      if (typed.reason == reason) out.push_back(typed.message);
    }
    return out;
  }
  std::string status() {
    const ObjectRef map = server.find(client::configmaps, "kube-system", "cluster-autoscaler-status");
    return map ? map.as<model::core_v1::ConfigMap>().data.at("status") : "";
  }
};

using Lines = std::vector<std::string>;

TEST_F(AutoscalerTest, PodsThatNoNodeTakesBringNodes) {
  start();
  executor.advance(1min);
  EXPECT_TRUE(cloud.machines.empty());
  for (int i = 0; i < 5; ++i) pod("p" + std::to_string(i), "2");
  executor.advance(1s);
  EXPECT_EQ(cloud.machines.size(), 3u) << "two on each";
  EXPECT_EQ(events("TriggeredScaleUp").at(0), "pod triggered scale-up: [{workers 0->3 (max: 3)}]");
  EXPECT_NE(status().find("cloudProviderTarget: 3"), std::string::npos) << status();
  executor.advance(1min);
  EXPECT_EQ(cloud.calls["create"], 3) << "what is coming is counted";
  boot_all();
  executor.advance(30s);
  EXPECT_EQ(where("p4").substr(0, 8), "workers-");
  EXPECT_EQ(cloud.calls["create"], 3);
  EXPECT_EQ(server.all(client::secrets, "kube-system").size(), 3u) << "a token for each";
}

TEST_F(AutoscalerTest, PodsThatItCannotHelpAreToldWhy) {
  start();
  pod("large", "5");
  executor.advance(1s);
  EXPECT_TRUE(cloud.machines.empty());
  EXPECT_EQ(events("NotTriggerScaleUp"), Lines{"pod didn't trigger scale-up: 1 Insufficient cpu"});
  for (int i = 0; i < 4; ++i) pod("p" + std::to_string(i), "3");
  executor.advance(1s);
  EXPECT_EQ(cloud.machines.size(), 3u);
  EXPECT_EQ(events("NotTriggerScaleUp").at(1), "pod didn't trigger scale-up: 1 max node group size reached");
  executor.advance(10min);
  EXPECT_EQ(events("NotTriggerScaleUp").size(), 3u) << "and once each time it changes: " << events("NotTriggerScaleUp").back();
}

TEST_F(AutoscalerTest, AnIdleClusterCostsNothing) {
  options.groups.groups[0].min = 1;
  start();
  executor.advance(1s);
  ASSERT_EQ(cloud.machines.size(), 1u) << "the minimum";
  boot_all();
  executor.advance(1min);
  const int lists = cloud.calls["list"];
  const size_t timers = executor.timers();
  executor.advance(1h);
  EXPECT_EQ(cloud.calls["list"], lists);
  EXPECT_LE(executor.timers(), timers);
}

TEST_F(AutoscalerTest, NodesThatNobodyNeedsGo) {
  start();
  for (int i = 0; i < 4; ++i) pod("p" + std::to_string(i), "2");
  executor.advance(1s);
  boot_all();
  executor.advance(10s);
  ASSERT_EQ(cloud.machines.size(), 2u);
  for (int i = 0; i < 3; ++i) server.erase(client::pods, "x", "p" + std::to_string(i));
  executor.advance(100s);
  EXPECT_EQ(cloud.machines.size(), 2u) << "not before its time";
  EXPECT_NE(status().find("candidates: 1"), std::string::npos) << status();
  executor.advance(40s);
  EXPECT_EQ(cloud.machines.size(), 1u) << "the empty one";
  EXPECT_EQ(where("p3"), server.all(client::nodes).at(0).meta().name);
  EXPECT_EQ(server.all(client::nodes).size(), 1u);
  ASSERT_EQ(events("ScaleDown").size(), 2u);
  server.erase(client::pods, "x", "p3");
  executor.advance(5min);
  EXPECT_TRUE(cloud.machines.empty());
  EXPECT_TRUE(server.all(client::nodes).empty());
}

TEST_F(AutoscalerTest, PodsMoveWhenTheyAllFitElsewhere) {
  start();
  for (int i = 0; i < 4; ++i) pod("p" + std::to_string(i), "2");
  executor.advance(1s);
  boot_all();
  executor.advance(10s);
  const std::string stays = where("p0");
  std::string moves;
  for (int i = 1; i < 4; ++i)
    if (where("p" + std::to_string(i)) != stays) moves = "p" + std::to_string(i);
  for (int i = 0; i < 4; ++i)
    if ("p" + std::to_string(i) != moves && where("p" + std::to_string(i)) != "gone")
      server.erase(client::pods, "x", "p" + std::to_string(i));
  pod("small", "1");
  executor.advance(1s);
  // One node has 2 of 4 cores in use, or both have a little: neither is below the threshold of one half but the one with `small`.
  executor.advance(10min);
  EXPECT_EQ(cloud.machines.size(), 1u);
}

TEST_F(AutoscalerTest, ANodeThatIsLostGoesWithoutWaitingForItsPodsToEnd) {
  start();
  pod("a", "3");
  pod("b", "3");
  executor.advance(1s);
  boot_all();
  executor.advance(10s);
  server.erase(client::pods, "x", "b");
  server.merge(client::pods, "x", "a", R"({"spec":{"terminationGracePeriodSeconds":30}})");
  const std::string lost = where("a");
  server.merge(client::nodes, "", lost, R"({"status":{"conditions":[{"type":"Ready","status":"Unknown"}]}})", "status");
  for (const ObjectRef& node : server.all(client::nodes))
    if (node.meta().name != lost)
      server.merge(client::nodes, "", node.meta().name,
                   R"({"metadata":{"annotations":{"cluster-autoscaler.kubernetes.io/scale-down-disabled":"true"}}})");
  executor.advance(19min);
  EXPECT_TRUE(cloud.machines.contains(lost));
  executor.advance(2min);
  EXPECT_FALSE(cloud.machines.contains(lost));
  EXPECT_FALSE(server.find(client::pods, "x", "a").meta().deletion_timestamp.empty()) << "evicted; the pod collector does the rest";
}

struct Blocked {
  std::string meta, spec, annotation;
};

TEST_F(AutoscalerTest, PodsThatMustNotMoveKeepTheirNodes) {
  const std::string owner = R"("ownerReferences":[{"apiVersion":"x/v1","kind":"Thing","name":"t","uid":"t","controller":true}])";
  const Blocked blocked[] = {
      {R"("labels":{})", "", ""},
      {owner + R"(,"annotations":{"cluster-autoscaler.kubernetes.io/safe-to-evict":"false"})", "", ""},
      {owner, R"(,"volumes":[{"name":"v","emptyDir":{}}])", ""},
      {owner, "", R"({"metadata":{"annotations":{"cluster-autoscaler.kubernetes.io/scale-down-disabled":"true"}}})"},
  };
  options.groups.groups[0].max = 2;
  start();
  for (const Blocked& each : blocked) {
    pod("filler", "3500m");
    pod("kept", "1", each.spec, each.meta);
    executor.advance(1s);
    boot_all();
    executor.advance(10s);
    ASSERT_EQ(cloud.machines.size(), 2u);
    const std::string node = where("kept");
    if (!each.annotation.empty()) server.merge(client::nodes, "", node, each.annotation);
    server.erase(client::pods, "x", "filler");
    executor.advance(10min);
    ASSERT_EQ(cloud.machines.size(), 1u) << each.meta << each.spec;
    EXPECT_TRUE(cloud.machines.contains(node));
    server.erase(client::pods, "x", "kept");
    if (!each.annotation.empty()) {
      executor.advance(10min);
      EXPECT_EQ(cloud.machines.size(), 1u) << "though it is empty";
      server.merge(client::nodes, "", node, R"({"metadata":{"annotations":null}})");
    }
    executor.advance(10min);
    ASSERT_TRUE(cloud.machines.empty());
  }
}

TEST_F(AutoscalerTest, BudgetsAreRespected) {
  options.groups.groups[0].max = 2;
  start();
  pod("a", "3");
  pod("b", "1500m", "",
      R"("labels":{"app":"b"},"ownerReferences":[{"apiVersion":"x/v1","kind":"Thing","name":"t","uid":"t","controller":true}])");
  const auto budget = [&](int allowed) {
    server.add({"policy", "v1", "poddisruptionbudgets"}, "x",
               R"({"apiVersion":"policy/v1","kind":"PodDisruptionBudget","metadata":{"name":"b)" + std::to_string(allowed) +
                   R"("},"spec":{"selector":{"matchLabels":{"app":"b"}}},"status":{"disruptionsAllowed":)" + std::to_string(allowed) +
                   "}}");
  };
  budget(0);
  executor.advance(1s);
  boot_all();
  executor.advance(10s);
  ASSERT_EQ(cloud.machines.size(), 2u);
  server.erase(client::pods, "x", "a");
  pod("c", "2");
  executor.advance(10min);
  const std::string kept = where("b");
  EXPECT_TRUE(cloud.machines.contains(kept));
  EXPECT_EQ(cloud.machines.size(), 2u);
  EXPECT_EQ(server.calls["call pods"], 3) << "bindings alone";
  server.merge({"policy", "v1", "poddisruptionbudgets"}, "x", "b0", R"({"status":{"disruptionsAllowed":1}})", "status");
  executor.advance(10min);
  EXPECT_FALSE(cloud.machines.contains(kept));
  EXPECT_EQ(server.calls["call pods"], 4) << "an eviction";
  EXPECT_EQ(events("ScaleDown").size(), 4u) << "of the pod, of the node twice, of the group";
}

TEST_F(AutoscalerTest, AGroupThatFailsRests) {
  cloud.before_call = [](std::string_view command) -> Result<void> {
    if (command == "create") return fail(Code::unavailable, "no quota");
    return {};
  };
  start();
  pod("p", "1");
  executor.advance(1s);
  EXPECT_EQ(cloud.calls["create"], 1);
  ASSERT_EQ(events("FailedToScaleUpGroup").size(), 1u);
  EXPECT_NE(events("FailedToScaleUpGroup")[0].find("Scale-up failed for group workers: node workers-"), std::string::npos);
  EXPECT_NE(events("FailedToScaleUpGroup")[0].find("no quota"), std::string::npos);
  EXPECT_EQ(events("NotTriggerScaleUp"), Lines{"pod didn't trigger scale-up: 1 in backoff after failed scale-up"});
  EXPECT_NE(status().find("status: Backoff"), std::string::npos) << status();
  executor.advance(4min);
  EXPECT_EQ(cloud.calls["create"], 1);
  executor.advance(2min);
  EXPECT_EQ(cloud.calls["create"], 2);
  executor.advance(8min);
  EXPECT_EQ(cloud.calls["create"], 2) << "the second rest is longer";
  executor.advance(2min);
  EXPECT_EQ(cloud.calls["create"], 3);
  cloud.before_call = {};
  executor.advance(30min);
  EXPECT_EQ(cloud.machines.size(), 1u);
}

TEST_F(AutoscalerTest, ANodeThatDoesNotComeIsGivenUp) {
  options.groups.groups.push_back(group("others", "8", "16Gi", 2));
  start();
  pod("p", "1");
  executor.advance(1s);
  ASSERT_EQ(cloud.machines.size(), 1u);
  const std::string first = cloud.machines.begin()->first;
  EXPECT_EQ(first.substr(0, 8), "workers-") << "less waste";
  executor.advance(16min);
  EXPECT_FALSE(cloud.machines.contains(first));
  ASSERT_EQ(cloud.machines.size(), 1u);
  EXPECT_EQ(cloud.machines.begin()->second.first, "others") << "the group that did not fail";
  EXPECT_NE(events("FailedToScaleUpGroup").at(0).find("it was not ready within maxNodeProvisionTime"), std::string::npos);
}

TEST_F(AutoscalerTest, ARestartLosesNothing) {
  start();
  for (int i = 0; i < 3; ++i) pod("p" + std::to_string(i), "3");
  executor.advance(1s);
  ASSERT_EQ(cloud.machines.size(), 3u);
  boot(cloud.machines.begin()->first);
  autoscaler.reset();
  start_autoscaler();
  executor.advance(1min);
  EXPECT_EQ(cloud.calls["create"], 3) << "what was coming is coming still";
  boot_all();
  executor.advance(1min);
  // It ends while a node is going: the next one looks at the node again.
  const std::string node = where("p0");
  server.erase(client::pods, "x", "p0");
  cloud.before_call = [](std::string_view command) -> Result<void> {
    if (command == "remove") return fail(Code::unavailable, "not now");
    return {};
  };
  executor.advance(130s);
  autoscaler.reset();
  cloud.before_call = {};
  server.merge(client::nodes, "", node,
               R"({"spec":{"taints":[{"key":"ToBeDeletedByClusterAutoscaler","value":"1","effect":"NoSchedule"}]}})");
  start_autoscaler();
  executor.advance(1s);
  EXPECT_FALSE(is_marked_going(server.find(client::nodes, "", node)));
  executor.advance(5min);
  EXPECT_FALSE(cloud.machines.contains(node));
  EXPECT_EQ(cloud.machines.size(), 2u);
}

TEST_F(AutoscalerTest, NodesThatAnEarlierServerHasHalfRemovedGo) {
  const auto node = [&](const std::string& name, const std::string& group) {
    server.add(client::nodes, "",
               R"({"apiVersion":"v1","kind":"Node","metadata":{"name":")" + name + R"(","labels":{"estiba.io/node-group":")" + group +
                   R"("}},"spec":{"taints":[{"key":"ToBeDeletedByClusterAutoscaler","value":"1","effect":"NoSchedule"}]},"status":{}})");
  };
  node("workers-abcde", "workers");
  node("foreign", "others");
  start();
  executor.advance(1min);
  EXPECT_FALSE(server.find(client::nodes, "", "workers-abcde"));
  EXPECT_TRUE(server.find(client::nodes, "", "foreign")) << "that of another autoscaler";
}

TEST_F(AutoscalerTest, AMachineThatFailsIsRemovedUntilItIsGone) {
  int refusals = 3;
  cloud.before_call = [&](std::string_view command) -> Result<void> {
    if (command == "remove" && refusals-- > 0) return fail(Code::unavailable, "not now");
    return {};
  };
  start();
  pod("p", "1");
  executor.advance(1s);
  const std::string first = cloud.machines.begin()->first;
  cloud.machines[first].second = {.name = first, .failed = true, .message = "no disk"};
  executor.advance(30s);
  EXPECT_EQ(events("FailedToScaleUpGroup"), Lines{"Scale-up failed for group workers: node " + first + ": no disk"});
  executor.advance(4min);
  EXPECT_EQ(cloud.calls["create"], 1) << "the group rests";
  executor.advance(12min);
  EXPECT_FALSE(cloud.machines.contains(first));
  EXPECT_EQ(cloud.calls["remove"], 4);
  EXPECT_EQ(events("FailedToScaleUpGroup").size(), 1u) << "one failure, however often it is tried to be removed";
  EXPECT_EQ(cloud.machines.size(), 1u) << "another one";
}

TEST_F(AutoscalerTest, AMachineThatCannotBeRemovedIsTriedAgain) {
  start();
  pod("p", "1");
  executor.advance(1s);
  boot_all();
  cloud.before_call = [](std::string_view command) -> Result<void> {
    if (command == "remove") return fail(Code::unavailable, "not now");
    return {};
  };
  server.erase(client::pods, "x", "p");
  executor.advance(3min);
  EXPECT_EQ(cloud.machines.size(), 1u);
  ASSERT_FALSE(events("ScaleDownFailed").empty());
  EXPECT_EQ(events("ScaleDownFailed")[0], "failed to delete node: remove the machine: not now");
  EXPECT_FALSE(is_marked_going(server.all(client::nodes).at(0))) << "it takes pods meanwhile";
  cloud.before_call = {};
  executor.advance(10min);
  EXPECT_TRUE(cloud.machines.empty());
}

}  // namespace
}  // namespace estiba::autoscale
