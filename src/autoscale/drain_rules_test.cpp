#include "autoscale/drain_rules.h"

#include <gtest/gtest.h>

#include "base/fake_executor.h"
#include "client/testing/fake_client.h"

namespace estiba::autoscale {
namespace {

using Verdict = Drainability::Verdict;

constexpr client::Resource budgets_resource{"policy", "v1", "poddisruptionbudgets"}, stateful_sets{"apps", "v1", "statefulsets"},
    controllers{"", "v1", "replicationcontrollers"}, daemon_sets{"apps", "v1", "daemonsets"};

struct DrainRulesTest : ::testing::Test {
  FakeExecutor executor;
  client::testing::FakeClient server{executor};
  client::Informers informers{server};
  Owners owners{.replica_sets = &informers.of(client::replica_sets),
                .replication_controllers = &informers.of(controllers),
                .stateful_sets = &informers.of(stateful_sets),
                .jobs = &informers.of(client::jobs),
                .daemon_sets = &informers.of(daemon_sets)};
  Budgets budgets{informers.of(budgets_resource)};
  ScaleDown settings;

  DrainRulesTest() {
    server.add(client::replica_sets, "x",
               R"({"apiVersion":"apps/v1","kind":"ReplicaSet","metadata":{"name":"set","uid":"set"},"spec":{}})");
    server.add(client::replica_sets, "kube-system",
               R"({"apiVersion":"apps/v1","kind":"ReplicaSet","metadata":{"name":"set","uid":"dns"},"spec":{}})");
    executor.run();
  }
  /// `meta` and `rest` are members of metadata and of the pod.
  model::ObjectRef pod(const std::string& meta, const std::string& rest = R"("spec":{})", const std::string& ns = "x") {
    auto made = model::Object::parse(R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","uid":"p","namespace":")" + ns + "\"" +
                                     (meta.empty() ? "" : "," + meta) + "}," + rest + "}");
    EXPECT_TRUE(made) << meta << rest;
    return {*made, 1};
  }
  std::string said(const model::ObjectRef& pod) {
    const Drainability told = drainability_of(pod, settings, owners, budgets);
    return told.verdict == Verdict::moves ? "moves" : told.verdict == Verdict::stays_out ? "stays out" : told.reason;
  }
  static std::string owned(const std::string& kind, const std::string& name, const std::string& uid) {
    return R"("ownerReferences":[{"apiVersion":"apps/v1","kind":")" + kind + R"(","name":")" + name + R"(","uid":")" + uid +
           R"(","controller":true}])";
  }
  static std::string annotated(const std::string& key, const std::string& value) {
    return R"(,"annotations":{"cluster-autoscaler.kubernetes.io/)" + key + R"(":")" + value + "\"}";
  }
};

TEST_F(DrainRulesTest, AreThoseOfClusterAutoscaler) {
  const std::string set = owned("ReplicaSet", "set", "set"), disk = R"("spec":{"volumes":[{"name":"v","emptyDir":{}}]})";
  const std::tuple<std::string, std::string, std::string> cases[] = {
      {set, R"("spec":{})", "moves"},
      {"", R"("spec":{})", "NotReplicated"},
      {owned("ReplicaSet", "gone", "gone"), R"("spec":{})", "ControllerNotFound"},
      {owned("ReplicaSet", "set", "older"), R"("spec":{})", "ControllerNotFound"},
      {owned("Thing", "t", "t"), R"("spec":{})", "moves"},
      {owned("DaemonSet", "d", "d"), R"("spec":{})", "stays out"},
      {R"("annotations":{"kubernetes.io/config.mirror":"h"})", R"("spec":{})", "stays out"},
      {set + R"(,"deletionTimestamp":"2026-01-01T00:00:00Z")", R"("spec":{})", "stays out"},
      {"", R"("spec":{},"status":{"phase":"Succeeded"})", "stays out"},
      {set, disk, "LocalStorageRequested"},
      {set, R"("spec":{"volumes":[{"name":"v","hostPath":{"path":"/x"}}]})", "LocalStorageRequested"},
      {set, R"("spec":{"volumes":[{"name":"v","emptyDir":{"medium":"Memory"}}]})", "moves"},
      {set + annotated("safe-to-evict-local-volumes", "u,v"), disk, "moves"},
      {set + annotated("safe-to-evict", "true"), disk, "moves"},
      {annotated("safe-to-evict", "true").substr(1), R"("spec":{})", "moves"},
      {set + annotated("safe-to-evict", "false"), R"("spec":{})", "NotSafeToEvictAnnotation"},
  };
  for (const auto& [meta, rest, says] : cases) EXPECT_EQ(said(pod(meta, rest)), says) << meta << " " << rest;
  settings.skip_local_storage = false;
  EXPECT_EQ(said(pod(set, disk)), "moves");
}

TEST_F(DrainRulesTest, PodsOfTheSystemNeedABudget) {
  const auto dns = pod(owned("ReplicaSet", "set", "dns") + R"(,"labels":{"app":"dns"})", R"("spec":{})", "kube-system");
  EXPECT_EQ(said(dns), "UnmovableKubeSystemPod");
  settings.skip_system = false;
  EXPECT_EQ(said(dns), "moves");
  settings.skip_system = true;
  server.add(budgets_resource, "kube-system",
             R"({"metadata":{"name":"b","uid":"b"},"spec":{"selector":{"matchLabels":{"app":"dns"}}},"status":{"disruptionsAllowed":1}})");
  executor.run();
  EXPECT_EQ(said(dns), "moves");
  EXPECT_FALSE(budgets.take({dns, dns})) << "one after another";
  EXPECT_TRUE(budgets.take({dns})) << "what was refused took nothing";
  EXPECT_FALSE(budgets.take({dns}));
}

}  // namespace
}  // namespace estiba::autoscale
