#include "controllers/kinds.h"
#include "controllers/pod_facts.h"
#include "controllers/table.h"
#include "controllers/testing/cluster.h"
#include "model/types/policy_v1.h"

namespace estiba::controllers {
namespace {

using namespace std::chrono_literals;
using client::Resource;
using model::ObjectRef;
using model::core_v1::Pod;
using model::policy_v1::PodDisruptionBudget;

constexpr Resource budgets{"policy", "v1", "poddisruptionbudgets"};

struct DisruptionTest : ControllerTest {
  void begin() { start({make_disruption_controller}); }
  void add_budget(const std::string& bound) {
    server.add(
        budgets, "x",
        R"({"apiVersion":"policy/v1","kind":"PodDisruptionBudget","metadata":{"name":"b"},"spec":{"selector":{"matchLabels":{"app":"web"}},)" +
            bound + "}}");
    executor.run();
  }
  void add_pod(const std::string& name, bool ready, const std::string& owner = "") {
    std::string owners;
    if (!owner.empty()) {
      const size_t slash = owner.rfind('/');
      const std::string kind = owner.substr(slash + 1), version = owner.substr(0, slash);
      owners =
          R"("ownerReferences":[{"apiVersion":")" + version + R"(","kind":")" + kind + R"(","name":"o","uid":"u-o","controller":true}],)";
    }
    server.add(
        client::pods, "x",
        R"({"apiVersion":"v1","kind":"Pod","metadata":{)" + owners + R"("name":")" + name +
            R"(","labels":{"app":"web"}},"spec":{"containers":[]},"status":{"phase":"Running","conditions":[{"type":"Ready","status":")" +
            (ready ? "True" : "False") + R"("}]}})");
    executor.run();
  }
  /// "expected desired healthy allowed reason".
  std::string status() {
    const auto& s = server.find(budgets, "x", "b").as<PodDisruptionBudget>().status;
    std::string text;
    for (const auto& number : {s.expectedPods, s.desiredHealthy, s.currentHealthy, s.disruptionsAllowed})
      text += std::to_string(number.value_or(-1)) + " ";
    return text + (s.conditions.empty() ? "" : s.conditions[0].status + "/" + s.conditions[0].reason);
  }
};

TEST_F(DisruptionTest, ANumberThatMustStay) {
  begin();
  add_budget(R"("minAvailable":2)");
  EXPECT_EQ(status(), "0 2 0 0 False/InsufficientPods");
  add_pod("a", true);
  add_pod("b", true);
  EXPECT_EQ(status(), "2 2 2 0 False/InsufficientPods");
  add_pod("c", true);
  EXPECT_EQ(status(), "3 2 3 1 True/SufficientPods");
  server.merge(client::pods, "x", "c", R"({"status":{"conditions":[{"type":"Ready","status":"False"}]}})", "status");
  executor.run();
  EXPECT_EQ(status(), "3 2 2 0 False/InsufficientPods");
}

TEST_F(DisruptionTest, APartOfWhatTheDeploymentWants) {
  server.add(client::deployments, "x",
             R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d","uid":"u-d"},"spec":{"replicas":10}})");
  server.add(
      client::replica_sets, "x",
      R"({"apiVersion":"apps/v1","kind":"ReplicaSet","metadata":{"name":"o","uid":"u-o","ownerReferences":[{"apiVersion":"apps/v1","kind":"Deployment","name":"d","uid":"u-d","controller":true}]},"spec":{"replicas":3}})");
  begin();
  add_pod("a", true, "apps/v1/ReplicaSet");
  add_pod("b", true, "apps/v1/ReplicaSet");
  add_budget(R"("maxUnavailable":"85%")");
  EXPECT_EQ(status(), "10 1 2 1 True/SufficientPods");
  server.merge(budgets, "x", "b", R"({"spec":{"maxUnavailable":null,"minAvailable":"15%"}})");
  executor.run();
  EXPECT_EQ(status(), "10 2 2 0 False/InsufficientPods");
}

TEST_F(DisruptionTest, ACustomOwnerIsAskedByItsScale) {
  server.add(
      custom_resource_definitions, "",
      R"({"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"farms.example.org"},"spec":{"group":"example.org","scope":"Namespaced","names":{"plural":"farms","singular":"farm","kind":"Farm","listKind":"FarmList"},"versions":[{"name":"v1","served":true,"storage":true,"subresources":{"scale":{"specReplicasPath":".spec.size","statusReplicasPath":".status.size"}},"schema":{"openAPIV3Schema":{"type":"object","x-kubernetes-preserve-unknown-fields":true}}}]},"status":{"acceptedNames":{"plural":"farms","singular":"farm","kind":"Farm","listKind":"FarmList"},"conditions":[{"type":"NamesAccepted","status":"True"},{"type":"Established","status":"True"}]}})");
  server.add({"example.org", "v1", "farms"}, "x",
             R"({"apiVersion":"example.org/v1","kind":"Farm","metadata":{"name":"o","uid":"u-o"},"spec":{"size":4}})");
  begin();
  add_pod("a", true, "example.org/v1/Farm");
  add_budget(R"("maxUnavailable":4)");
  EXPECT_EQ(status(), "4 0 1 1 True/SufficientPods");
}

TEST_F(DisruptionTest, WhoCannotBeCountedMayNotBeDisrupted) {
  begin();
  add_pod("a", true, "batch/v1/Job");
  add_budget(R"("maxUnavailable":1)");
  EXPECT_EQ(status().substr(status().rfind(' ') + 1), "False/SyncFailed");
  EXPECT_EQ(server.find(budgets, "x", "b").as<PodDisruptionBudget>().status.conditions[0].message,
            "jobs.batch does not implement the scale subresource");
}

TEST_F(DisruptionTest, PodsWhoseEvictionWasGrantedDoNotCountUntilTheyShouldBeGone) {
  begin();
  add_budget(R"("minAvailable":1)");
  add_pod("a", true);
  add_pod("b", true);
  server.merge(budgets, "x", "b",
               R"({"status":{"disruptionsAllowed":0,"disruptedPods":{"a":")" + now() + R"(","gone":")" + now() + R"("}}})", "status");
  executor.run();
  EXPECT_EQ(status(), "2 1 1 0 False/InsufficientPods");
  EXPECT_EQ(server.find(budgets, "x", "b").as<PodDisruptionBudget>().status.disruptedPods.size(), 1u);
  executor.advance(2min + 1s);
  EXPECT_EQ(status(), "2 1 2 1 True/SufficientPods");
}

TEST_F(DisruptionTest, ADisruptionThatDidNotComeIsTakenBack) {
  begin();
  add_pod("a", true);
  server.merge(
      client::pods, "x", "a",
      R"({"status":{"conditions":[{"type":"Ready","status":"True"},{"type":"DisruptionTarget","status":"True","lastTransitionTime":")" +
          now() + R"("}]}})",
      "status");
  executor.advance(1min);
  EXPECT_EQ(find_condition(server.find(client::pods, "x", "a").as<Pod>(), "DisruptionTarget")->status, "True");
  executor.advance(1min + 1s);
  EXPECT_EQ(find_condition(server.find(client::pods, "x", "a").as<Pod>(), "DisruptionTarget")->status, "False");
  EXPECT_TRUE(is_ready(server.find(client::pods, "x", "a").as<Pod>()));
}

}  // namespace
}  // namespace estiba::controllers
