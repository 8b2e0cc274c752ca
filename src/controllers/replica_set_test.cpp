#include "controllers/deletion_rank.h"
#include "controllers/pod_facts.h"
#include "controllers/table.h"
#include "controllers/testing/cluster.h"
#include "model/types/apps_v1.h"

namespace estiba::controllers {
namespace {

using namespace std::chrono_literals;
using client::Resource;
using model::ObjectRef;
using model::apps_v1::ReplicaSet;
using model::core_v1::Pod;

struct ReplicaSetTest : ControllerTest {
  void begin() { start({make_replica_set_controller}); }
  void add_set(int replicas) {
    server.add(
        client::replica_sets, "x",
        R"({"apiVersion":"apps/v1","kind":"ReplicaSet","metadata":{"name":"web"},"spec":{"replicas":)" + std::to_string(replicas) +
            R"(,"selector":{"matchLabels":{"app":"web"}},"template":{"metadata":{"labels":{"app":"web"}},"spec":{"containers":[{"name":"c","image":"i"}],"terminationGracePeriodSeconds":0}}}})");
  }
  void scale(int replicas) { server.merge(client::replica_sets, "x", "web", R"({"spec":{"replicas":)" + std::to_string(replicas) + "}}"); }
  ObjectRef set() { return server.find(client::replica_sets, "x", "web"); }
  size_t pods() { return server.all(client::pods, "x").size(); }
  ObjectRef add_pod(const std::string& name, const std::string& labels = R"({"app":"web"})") {
    return server.add(client::pods, "x",
                      R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":")" + name + R"(","labels":)" + labels +
                          R"(},"spec":{"containers":[],"terminationGracePeriodSeconds":0}})");
  }
};

TEST_F(ReplicaSetTest, OrphansThatMatchAreAdoptedAndCount) {
  add_pod("mine");
  add_pod("other", R"({"app":"db"})");
  begin();
  add_set(2);
  executor.run();
  EXPECT_EQ(pods(), 3u);
  EXPECT_EQ(server.find(client::pods, "x", "mine").meta().controller()->uid, set().meta().uid);
  EXPECT_FALSE(server.find(client::pods, "x", "other").meta().controller());
}

TEST_F(ReplicaSetTest, APodThatNoLongerMatchesIsReleasedAndReplaced) {
  begin();
  add_set(2);
  executor.run();
  const std::string name = server.all(client::pods, "x")[0].meta().name;
  server.merge(client::pods, "x", name, R"({"metadata":{"labels":{"app":"debug"}}})");
  executor.run();
  EXPECT_EQ(pods(), 3u);
  EXPECT_FALSE(server.find(client::pods, "x", name).meta().controller());
}

TEST_F(ReplicaSetTest, NoDuplicatesAreMadeWhileTheWatchesAreSilent) {
  begin();
  executor.run();
  server.answer_late = true;
  add_set(7);
  executor.run();
  EXPECT_EQ(pods(), 7u);
  server.hold_watches(true);
  for (int i = 0; i < 5; ++i) {
    // Something makes it look again although it has been told nothing of its pods.
    scale(7 + i);
    informers->of(client::replica_sets).observe(set());
    executor.advance(1s);
    EXPECT_EQ(pods(), size_t(7 + i));
  }
  scale(4);
  informers->of(client::replica_sets).observe(set());
  executor.advance(10s);
  EXPECT_EQ(pods(), 4u);
  server.end_watches(Code::gone);
  server.hold_watches(false);
  executor.advance(1min);
  EXPECT_EQ(pods(), 4u);
}

TEST_F(ReplicaSetTest, ARefusedPodIsNotAskedForAHundredTimes) {
  server.before_call = [](std::string_view verb, Resource resource, std::string_view) -> Result<void> {
    if (verb == "create" && resource == client::pods) return fail(Code::forbidden, "exceeded quota");
    return {};
  };
  begin();
  add_set(100);
  executor.run();
  EXPECT_LE(server.calls["create pods"], 2);  // once more when its own status comes back
  ASSERT_EQ(set().as<ReplicaSet>().status.conditions.size(), 1u);
  EXPECT_EQ(set().as<ReplicaSet>().status.conditions[0].reason, "FailedCreate");
  server.before_call = nullptr;
  executor.advance(1min);
  EXPECT_EQ(pods(), 100u);
  EXPECT_TRUE(set().as<ReplicaSet>().status.conditions.empty());
}

TEST_F(ReplicaSetTest, AQuotaThatIsReachedInTheMiddleIsToldAndTheRestComesLater) {
  size_t most = 3;
  server.before_call = [&](std::string_view verb, Resource resource, std::string_view) -> Result<void> {
    if (verb == "create" && resource == client::pods && pods() >= most)
      return fail(Code::forbidden, "exceeded quota: q, used: pods=3, limited: pods=3");
    return {};
  };
  begin();
  add_set(2);
  executor.run();
  scale(6);
  executor.run();
  EXPECT_EQ(pods(), 3u);
  ASSERT_EQ(set().as<ReplicaSet>().status.conditions.size(), 1u);
  EXPECT_EQ(set().as<ReplicaSet>().status.conditions[0].type, "ReplicaFailure");
  EXPECT_TRUE(set().as<ReplicaSet>().status.conditions[0].message.contains("exceeded quota"));
  const auto events = server.all(client::events, "x");
  EXPECT_TRUE(
      std::ranges::any_of(events, [](const ObjectRef& event) { return event.as<model::core_v1::Event>().reason == "FailedCreate"; }));
  const int before = server.calls["create pods"];
  executor.advance(10min);
  EXPECT_LE(server.calls["create pods"] - before, 20);  // it asks more and more seldom
  most = 100;
  executor.advance(10min);
  EXPECT_EQ(pods(), 6u);
  EXPECT_TRUE(set().as<ReplicaSet>().status.conditions.empty());
}

TEST_F(ReplicaSetTest, TwoThatSelectTheSamePodsLeaveEachOthersAlone) {
  begin();
  add_set(2);
  executor.run();
  const std::string first = set().meta().uid;
  json::Document other = *json::Document::parse(set().object->json());
  other.remove(*other.root().find("metadata"), "uid");
  other.set(*other.root().find("metadata"), "name", "rival");
  server.add(client::replica_sets, "x", json::print(other.root()));
  executor.run();
  const int before = server.calls["create pods"] + server.calls["remove pods"] + server.calls["patch pods"];
  executor.advance(10min);
  std::map<std::string, int> owners;
  for (const ObjectRef& pod : server.all(client::pods, "x")) ++owners[pod.meta().controller()->uid];
  EXPECT_EQ(owners.size(), 2u);
  for (const auto& [uid, count] : owners) EXPECT_EQ(count, 2) << uid << (uid == first ? " web" : " rival");
  EXPECT_EQ(server.calls["create pods"] + server.calls["remove pods"] + server.calls["patch pods"], before);
}

TEST_F(ReplicaSetTest, TenThousandPodsThatFailAtOnceAreReplacedOnceEach) {
  begin();
  add_set(10'000);
  executor.advance(1min);
  ASSERT_EQ(pods(), 10'000u);
  for (const ObjectRef& pod : server.all(client::pods, "x"))
    server.merge(client::pods, "x", pod.meta().name, R"({"status":{"phase":"Failed"}})", "status");
  executor.advance(1min);
  EXPECT_EQ(server.calls["create pods"], 20'000);
  EXPECT_EQ(set().as<ReplicaSet>().status.replicas, 10'000);
  executor.advance(1h);
  EXPECT_EQ(server.calls["create pods"], 20'000);
}

TEST_F(ReplicaSetTest, AFinishedPodIsReplaced) {
  begin();
  add_set(1);
  executor.run();
  server.merge(client::pods, "x", server.all(client::pods, "x")[0].meta().name, R"({"status":{"phase":"Failed"}})", "status");
  executor.run();
  EXPECT_EQ(pods(), 2u);
  EXPECT_EQ(set().as<ReplicaSet>().status.replicas, 1);
}

TEST_F(ReplicaSetTest, AReplicationControllerDoesTheSameWithAPlainSelector) {
  add_pod("mine", R"({"name":"rc"})");
  add_pod("other", R"({"name":"db"})");
  start({make_replication_controller});
  constexpr Resource controllers{"", "v1", "replicationcontrollers"};
  server.add(
      controllers, "x",
      R"({"apiVersion":"v1","kind":"ReplicationController","metadata":{"name":"rc"},"spec":{"replicas":3,"selector":{"name":"rc"},"template":{"metadata":{"labels":{"name":"rc"}},"spec":{"containers":[],"terminationGracePeriodSeconds":0}}}})");
  executor.run();
  EXPECT_EQ(pods(), 4u);
  const ObjectRef rc = server.find(controllers, "x", "rc");
  EXPECT_EQ(server.find(client::pods, "x", "mine").meta().controller()->uid, rc.meta().uid);
  EXPECT_FALSE(server.find(client::pods, "x", "other").meta().controller());
  EXPECT_EQ(rc.as<model::core_v1::ReplicationController>().status.replicas, 3);
  EXPECT_EQ(rc.as<model::core_v1::ReplicationController>().status.fullyLabeledReplicas, 3);
  server.merge(client::pods, "x", "mine", R"({"metadata":{"labels":{"name":"debug"}}})");
  server.merge(controllers, "x", "rc", R"({"spec":{"replicas":1}})");
  executor.run();
  EXPECT_FALSE(server.find(client::pods, "x", "mine").meta().controller());
  EXPECT_EQ(pods(), 3u);
}

TEST_F(ReplicaSetTest, TheRightPodsGoFirst) {
  const auto pod = [&](const std::string& name, const std::string& node, const std::string& phase, const std::string& ready_since,
                       const std::string& annotations = "{}") {
    return server.add(client::pods, "x",
                      R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":")" + name + R"(","annotations":)" + annotations +
                          R"(},"spec":{"nodeName":")" + node + R"("},"status":{"phase":")" + phase +
                          R"(","conditions":[{"type":"Ready","status":")" + (ready_since.empty() ? "False" : "True") +
                          R"(","lastTransitionTime":")" + ready_since + R"("}]}})");
  };
  const std::vector<ObjectRef> all = {
      pod("f-longest-ready", "n1", "Running", "2026-01-01T00:00:00Z"),
      pod("e-shorter-ready", "n2", "Running", "2026-01-01T01:00:00Z"),
      pod("d-cheap", "n3", "Running", "2026-01-01T00:00:00Z", R"({"controller.kubernetes.io/pod-deletion-cost":"-5"})"),
      pod("c-not-ready", "n4", "Running", ""),
      pod("b-pending", "n5", "Pending", ""),
      pod("a-unassigned", "", "Pending", ""),
  };
  for (size_t count = 1; count < all.size(); ++count) {
    const auto going = pods_to_delete(all, count);
    ASSERT_EQ(going.size(), count);
    EXPECT_EQ(going.back().meta().name, all[all.size() - count].meta().name);
  }
}

}  // namespace
}  // namespace estiba::controllers
