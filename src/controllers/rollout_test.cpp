// Deployments and ReplicaSets together, step by step against the fake API server; a test plays the node.
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "base/fake_executor.h"
#include "base/time.h"
#include "client/testing/fake_client.h"
#include "controllers/annotations.h"
#include "controllers/framework.h"
#include "controllers/pod_facts.h"
#include "controllers/table.h"
#include "model/types/apps_v1.h"

namespace estiba::controllers {
namespace {

using namespace std::chrono_literals;
using client::Resource;
using client::testing::FakeClient;
using model::ObjectRef;
using model::apps_v1::Deployment;
using model::apps_v1::ReplicaSet;
using model::core_v1::Pod;

struct RolloutTest : ::testing::Test {
  FakeExecutor executor;
  FakeClient server{executor};
  Options options;
  std::unique_ptr<client::Informers> informers;
  std::unique_ptr<Context> context;
  std::vector<std::unique_ptr<Controller>> controllers;

  void start() {
    informers = std::make_unique<client::Informers>(server);
    context.reset(new Context{server, executor, *informers, options});
    controllers.push_back(make_deployment_controller(*context));
    controllers.push_back(make_replica_set_controller(*context));
    for (auto& controller : controllers) controller->start();
    executor.run();
  }
  void stop() {
    controllers.clear();
    context.reset();
    informers.reset();
  }

  void deploy(int replicas, const std::string& more = R"("strategy":{"type":"RollingUpdate","rollingUpdate":{"maxSurge":"25%","maxUnavailable":"25%"}})", const std::string& image = "v1") {
    server.add(client::deployments, "x", R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","annotations":{"note":"n"}},"spec":{"replicas":)" + std::to_string(replicas) +
               R"(,"progressDeadlineSeconds":600,"revisionHistoryLimit":2,"selector":{"matchLabels":{"app":"web"}},"template":{"metadata":{"labels":{"app":"web"}},"spec":{"containers":[{"name":"c","image":")" +
               image + R"("}],"terminationGracePeriodSeconds":0}},)" + more + "}}");
    executor.run();
  }
  void change(const std::string& spec) {
    server.merge(client::deployments, "x", "web", R"({"spec":)" + spec + "}");
    executor.run();
  }
  void set_image(const std::string& image) { change(R"({"template":{"spec":{"containers":[{"name":"c","image":")" + image + R"("}]}}})"); }

  std::vector<ObjectRef> pods() { return server.all(client::pods, "x"); }
  ObjectRef deployment() { return server.find(client::deployments, "x", "web"); }
  static std::string image_of(const ObjectRef& pod) { return pod.as<Pod>().spec.containers[0].image; }
  static bool ready(const ObjectRef& pod) { return is_ready(pod.as<Pod>()); }

  void make_ready(const ObjectRef& pod, bool ready = true) {
    server.merge(client::pods, pod.meta().ns, pod.meta().name,
                 R"({"status":{"phase":"Running","conditions":[{"type":"Ready","status":")" + std::string(ready ? "True" : "False") + R"(","lastTransitionTime":")" +
                     format_rfc3339(executor.wall_now()) + R"("}]}})",
                 "status");
  }
  bool make_one_ready() {
    for (const ObjectRef& pod : pods())
      if (!ready(pod)) {
        make_ready(pod);
        executor.run();
        return true;
      }
    return false;
  }
  void make_all_ready() {
    while (make_one_ready()) {
    }
  }
  std::map<std::string, int> images() {
    std::map<std::string, int> out;
    for (const ObjectRef& pod : pods()) ++out[image_of(pod)];
    return out;
  }
  std::string condition(std::string_view type) {
    for (const auto& c : deployment().as<Deployment>().status.conditions)
      if (c.type == type) return c.status + " " + c.reason;
    return "";
  }
  std::vector<std::string> events_of(std::string_view reason) {
    std::vector<std::string> out;
    for (const ObjectRef& event : server.all(client::events))
      if (event.as<model::core_v1::Event>().reason == reason) out.push_back(event.as<model::core_v1::Event>().message);
    return out;
  }
};
using Images = std::map<std::string, int>;

TEST_F(RolloutTest, ADeploymentBecomesAReplicaSetAndItsPods) {
  start();
  deploy(3);
  ASSERT_EQ(pods().size(), 3u);
  const auto sets = server.all(client::replica_sets);
  ASSERT_EQ(sets.size(), 1u);
  const std::string hash(sets[0].meta().label(template_hash_label));
  EXPECT_FALSE(hash.empty());
  EXPECT_EQ(sets[0].meta().name, "web-" + hash);
  EXPECT_EQ(sets[0].meta().annotation("note"), "n");
  EXPECT_EQ(sets[0].meta().annotation(revision_annotation), "1");
  EXPECT_EQ(deployment().meta().annotation(revision_annotation), "1");
  for (const ObjectRef& pod : pods()) {
    EXPECT_TRUE(pod.meta().name.starts_with("web-" + hash + "-")) << pod.meta().name;
    EXPECT_EQ(pod.meta().label(template_hash_label), hash);
    ASSERT_TRUE(pod.meta().controller());
    EXPECT_EQ(pod.meta().controller()->uid, sets[0].meta().uid);
    EXPECT_TRUE(pod.meta().controller()->block_owner_deletion);
  }
  EXPECT_EQ(events_of("ScalingReplicaSet"), std::vector<std::string>{"Scaled up replica set " + sets[0].meta().name + " from 0 to 3"});
  EXPECT_EQ(condition("Progressing"), "True ReplicaSetUpdated");
  EXPECT_EQ(condition("Available"), "False MinimumReplicasUnavailable");
  make_all_ready();
  const auto& status = deployment().as<Deployment>().status;
  EXPECT_EQ(status.replicas, 3);
  EXPECT_EQ(status.updatedReplicas, 3);
  EXPECT_EQ(status.availableReplicas, 3);
  EXPECT_EQ(status.observedGeneration, deployment().meta().generation);
  EXPECT_FALSE(status.unavailableReplicas);
  EXPECT_EQ(condition("Progressing"), "True NewReplicaSetAvailable");
  EXPECT_EQ(condition("Available"), "True MinimumReplicasAvailable");
}

TEST_F(RolloutTest, NothingIsWrittenWhenNothingChanges) {
  start();
  deploy(3);
  make_all_ready();
  const int64_t revision = server.revision();
  executor.advance(1h);
  EXPECT_EQ(server.revision(), revision);
  stop();
  start();
  executor.advance(1h);
  EXPECT_EQ(server.revision(), revision);
  EXPECT_EQ(executor.timers(), 0u);
}

TEST_F(RolloutTest, AnotherTemplateRollsStepByStep) {
  start();
  deploy(4);
  make_all_ready();
  set_image("v2");
  // 25 % of 4: one more, one less.
  EXPECT_EQ(images(), (Images{{"v1", 3}, {"v2", 2}}));
  EXPECT_EQ(condition("Progressing"), "True ReplicaSetUpdated");
  make_one_ready();
  EXPECT_EQ(images(), (Images{{"v1", 2}, {"v2", 3}}));
  make_all_ready();
  EXPECT_EQ(images(), (Images{{"v2", 4}}));
  EXPECT_EQ(condition("Progressing"), "True NewReplicaSetAvailable");
  EXPECT_EQ(deployment().meta().annotation(revision_annotation), "2");
}

TEST_F(RolloutTest, GoingBackUsesTheOldSetUnderANewRevision) {
  start();
  deploy(2);
  make_all_ready();
  const std::string first = server.all(client::replica_sets)[0].meta().name;
  set_image("v2");
  make_all_ready();
  set_image("v1");
  make_all_ready();
  EXPECT_EQ(images(), (Images{{"v1", 2}}));
  EXPECT_EQ(server.all(client::replica_sets).size(), 2u);
  const ObjectRef set = server.find(client::replica_sets, "x", first);
  EXPECT_EQ(set.meta().annotation(revision_annotation), "3");
  EXPECT_EQ(set.meta().annotation(revision_history_annotation), "1");
  EXPECT_EQ(deployment().meta().annotation(revision_annotation), "3");
}

TEST_F(RolloutTest, HistoryIsLimited) {
  start();
  deploy(1);
  make_all_ready();
  for (const char* image : {"v2", "v3", "v4", "v5"}) {
    set_image(image);
    make_all_ready();
  }
  std::vector<std::string> revisions;
  for (const ObjectRef& set : server.all(client::replica_sets)) revisions.emplace_back(set.meta().annotation(revision_annotation));
  std::sort(revisions.begin(), revisions.end());
  EXPECT_EQ(revisions, (std::vector<std::string>{"3", "4", "5"}));
}

TEST_F(RolloutTest, RecreateWaitsForTheLastOldPod) {
  start();
  deploy(2, R"("strategy":{"type":"Recreate"})");
  make_all_ready();
  const ObjectRef held = pods()[0];
  server.merge(client::pods, "x", held.meta().name, R"({"metadata":{"finalizers":["test/hold"]}})");
  set_image("v2");
  EXPECT_EQ(images(), (Images{{"v1", 1}}));
  server.merge(client::pods, "x", held.meta().name, R"({"metadata":{"finalizers":null}})");
  executor.run();
  EXPECT_EQ(images(), (Images{{"v2", 2}}));
}

TEST_F(RolloutTest, APausedDeploymentScalesButDoesNotRoll) {
  start();
  deploy(2);
  make_all_ready();
  change(R"({"paused":true})");
  EXPECT_EQ(condition("Progressing"), "Unknown DeploymentPaused");
  set_image("v2");
  change(R"({"replicas":3})");
  EXPECT_EQ(images(), (Images{{"v1", 3}}));
  make_all_ready();
  change(R"({"paused":null})");
  make_all_ready();
  EXPECT_EQ(images(), (Images{{"v2", 3}}));
  EXPECT_EQ(condition("Progressing"), "True NewReplicaSetAvailable");
}

TEST_F(RolloutTest, ARolloutThatHangsIsSaidToExceedItsDeadline) {
  start();
  deploy(2);
  executor.advance(9min);
  EXPECT_EQ(condition("Progressing"), "True ReplicaSetUpdated");
  executor.advance(2min);
  EXPECT_EQ(condition("Progressing"), "False ProgressDeadlineExceeded");
  make_all_ready();
  EXPECT_EQ(condition("Progressing"), "True NewReplicaSetAvailable");
}

TEST_F(RolloutTest, MinReadySecondsDelayAvailability) {
  start();
  deploy(2, R"("minReadySeconds":30,"strategy":{"type":"RollingUpdate"})");
  make_all_ready();
  EXPECT_EQ(deployment().as<Deployment>().status.availableReplicas.value_or(0), 0);
  executor.advance(31s);
  EXPECT_EQ(deployment().as<Deployment>().status.availableReplicas.value_or(0), 2);
  EXPECT_EQ(condition("Progressing"), "True NewReplicaSetAvailable");
}

TEST_F(RolloutTest, ScalingInTheMiddleOfARolloutIsProportional) {
  start();
  deploy(10, R"("strategy":{"type":"RollingUpdate","rollingUpdate":{"maxSurge":3,"maxUnavailable":2}})");
  make_all_ready();
  set_image("v2");
  EXPECT_EQ(images(), (Images{{"v1", 8}, {"v2", 5}}));
  change(R"({"replicas":15})");
  // 18 at most: the 5 more are shared 8 : 5.
  EXPECT_EQ(images(), (Images{{"v1", 11}, {"v2", 7}}));
}

TEST_F(RolloutTest, AHashThatIsTakenIsAvoided) {
  start();
  deploy(1);
  const ObjectRef set = server.all(client::replica_sets)[0];
  stop();
  // The same name, but of nobody and with another template.
  server.merge(client::replica_sets, "x", set.meta().name, R"({"metadata":{"ownerReferences":null,"labels":{"app":"other"}},"spec":{"replicas":0,"template":{"metadata":{"labels":{"app":"other"}}}}})");
  start();
  executor.advance(1s);
  EXPECT_EQ(server.all(client::replica_sets).size(), 2u);
  EXPECT_EQ(deployment().as<Deployment>().status.collisionCount, 1);
}

TEST_F(RolloutTest, BoundsAreNeverExceededWhateverHappens) {
  // Random rollouts: pods become ready and not ready, templates and numbers change, the server and the watches fail.
  for (uint32_t seed = 1; seed <= 12; ++seed) {
    std::mt19937 random(seed);
    const auto pick = [&](int n) { return int(random() % uint32_t(n)); };
    server.~FakeClient();
    new (&server) FakeClient(executor);
    start();
    const int surge = pick(4), unavailable = surge == 0 ? 1 + pick(3) : pick(4);
    const int replicas = 1 + pick(8);
    deploy(replicas, R"("strategy":{"type":"RollingUpdate","rollingUpdate":{"maxSurge":)" + std::to_string(surge) + R"(,"maxUnavailable":)" + std::to_string(unavailable) + "}}");
    make_all_ready();
    server.before_call = [&](std::string_view verb, Resource, std::string_view) -> Result<void> {
      if (verb != "list" && verb != "watch" && pick(20) == 0) return fail(Code::unavailable, "away");
      return {};
    };
    for (int step = 0; step < 40; ++step) {
      server.answer_late = pick(2);
      const auto now = pods();
      const int action = pick(10);
      if (action == 0) server.merge(client::deployments, "x", "web", R"({"spec":{"template":{"spec":{"containers":[{"name":"c","image":"v)" + std::to_string(pick(3)) + R"("}]}}}})");
      else if (action == 1) server.end_watches(pick(2) ? Code::gone : Code::unavailable);
      else if (action < 9 && !now.empty()) make_ready(now[size_t(pick(int(now.size())))]);
      executor.run();
      int total = 0, available = 0;
      for (const ObjectRef& pod : pods()) {
        ++total;
        available += ready(pod);
      }
      EXPECT_LE(total, replicas + surge) << "seed " << seed << " step " << step;
      EXPECT_GE(available, replicas - std::min(unavailable, replicas)) << "seed " << seed << " step " << step;
      executor.advance(50ms);
    }
    server.before_call = nullptr;
    for (int i = 0; i < 40; ++i) {
      executor.advance(30s);
      make_all_ready();
    }
    const auto settled = images();
    EXPECT_EQ(settled.size(), 1u) << "seed " << seed;
    EXPECT_EQ(settled.begin()->second, replicas) << "seed " << seed;
    EXPECT_EQ(condition("Progressing"), "True NewReplicaSetAvailable") << "seed " << seed;
    stop();
  }
}

}  // namespace
}  // namespace estiba::controllers
