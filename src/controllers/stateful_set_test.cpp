#include "controllers/pod_facts.h"
#include "controllers/revision_history.h"
#include "controllers/stateful_claims.h"
#include "controllers/stateful_identity.h"
#include "controllers/table.h"
#include "controllers/testing/cluster.h"
#include "model/types/apps_v1.h"

namespace estiba::controllers {
namespace {

using namespace std::chrono_literals;
using client::Resource;
using model::ObjectRef;
using model::apps_v1::ControllerRevision;
using model::apps_v1::StatefulSet;
using model::core_v1::Pod;

constexpr Resource stateful_sets{"apps", "v1", "statefulsets"};

struct StatefulSetTest : ControllerTest {
  void begin() { start({make_stateful_set_controller}); }
  void add_set(int replicas, const std::string& more = "", const std::string& pod_more = "") {
    server.add(
        stateful_sets, "x",
        R"({"apiVersion":"apps/v1","kind":"StatefulSet","metadata":{"name":"web"},"spec":{"replicas":)" + std::to_string(replicas) +
            R"(,"serviceName":"svc","revisionHistoryLimit":2,"selector":{"matchLabels":{"app":"web"}},)" + more +
            R"("template":{"metadata":{"labels":{"app":"web"}},"spec":{"containers":[{"name":"c","image":"one"}],"terminationGracePeriodSeconds":0)" +
            pod_more + "}}}}");
    executor.run();
  }
  void change(const std::string& spec) {
    server.merge(stateful_sets, "x", "web", R"({"spec":)" + spec + "}");
    executor.run();
  }
  void set_image(const std::string& image) { change(R"({"template":{"spec":{"containers":[{"name":"c","image":")" + image + R"("}]}}})"); }
  void phase(const std::string& pod, const std::string& phase, bool ready) {
    server.merge(client::pods, "x", pod,
                 R"({"status":{"phase":")" + phase + R"(","conditions":[{"type":"Ready","status":")" + (ready ? "True" : "False") +
                     R"(","lastTransitionTime":")" + now() + R"("}]}})",
                 "status");
    executor.run();
  }
  /// Makes pods ready, one after the other, until nothing is left to be made ready.
  void settle() {
    for (bool changed = true; changed;) {
      changed = false;
      for (const ObjectRef& pod : server.all(client::pods, "x"))
        if (!is_ready(pod.as<Pod>()) && !is_finished(pod.as<Pod>())) {
          phase(pod.meta().name, "Running", true);
          changed = true;
          break;
        }
    }
  }
  std::string names() {
    std::string all;
    for (const ObjectRef& pod : server.all(client::pods, "x")) all += (all.empty() ? "" : " ") + pod.meta().name;
    return all;
  }
  std::string image(const std::string& pod) { return server.find(client::pods, "x", pod).as<Pod>().spec.containers[0].image; }
  ObjectRef set() { return server.find(stateful_sets, "x", "web"); }
  const model::apps_v1::StatefulSetStatus& status() { return set().as<StatefulSet>().status; }
  std::string owners_of(const std::string& claim) {
    std::string all;
    for (const auto& owner : server.find(persistent_volume_claims, "x", claim).meta().owners) all += owner.kind + "/" + owner.name + " ";
    return all;
  }
};

TEST_F(StatefulSetTest, PodsComeInOrderEachAfterTheOneBeforeIsReady) {
  begin();
  add_set(3);
  EXPECT_EQ(names(), "web-0");
  phase("web-0", "Running", false);
  EXPECT_EQ(names(), "web-0");
  phase("web-0", "Running", true);
  EXPECT_EQ(names(), "web-0 web-1");
  settle();
  EXPECT_EQ(names(), "web-0 web-1 web-2");
  const ObjectRef pod = server.find(client::pods, "x", "web-1");
  EXPECT_EQ(pod.meta().label("statefulset.kubernetes.io/pod-name"), "web-1");
  EXPECT_EQ(pod.meta().label("apps.kubernetes.io/pod-index"), "1");
  EXPECT_EQ(pod.meta().label("controller-revision-hash"), status().updateRevision);
  EXPECT_EQ(pod.as<Pod>().spec.hostname, "web-1");
  EXPECT_EQ(pod.as<Pod>().spec.subdomain, "svc");
  EXPECT_EQ(status().readyReplicas, 3);
  EXPECT_EQ(status().availableReplicas, 3);
  EXPECT_EQ(status().currentReplicas, 3);
  EXPECT_EQ(status().observedGeneration, set().meta().generation);
}

TEST_F(StatefulSetTest, PodsGoInReverseAndWaitForEachOther) {
  begin();
  add_set(3, "", R"(,"nodeName":"n")");
  settle();
  server.merge(client::pods, "x", "web-2", R"({"spec":{"terminationGracePeriodSeconds":5}})");
  change(R"({"replicas":1})");
  EXPECT_EQ(names(), "web-0 web-1 web-2");  // web-2 is still ending
  EXPECT_FALSE(server.find(client::pods, "x", "web-2").meta().deletion_timestamp.empty());
  EXPECT_TRUE(server.find(client::pods, "x", "web-1").meta().deletion_timestamp.empty());
  server.erase(client::pods, "x", "web-2", {.grace_seconds = 0});
  executor.run();
  EXPECT_EQ(names(), "web-0");
  EXPECT_EQ(status().replicas, 1);
}

TEST_F(StatefulSetTest, ScalingStopsWhileAnEarlierPodIsUnwell) {
  begin();
  add_set(3);
  settle();
  phase("web-0", "Running", false);
  change(R"({"replicas":4})");
  EXPECT_EQ(names(), "web-0 web-1 web-2");
  change(R"({"replicas":1})");
  EXPECT_EQ(names(), "web-0 web-1 web-2");
  phase("web-0", "Running", true);
  EXPECT_EQ(names(), "web-0");
}

TEST_F(StatefulSetTest, ParallelPodsComeAndGoAtOnce) {
  begin();
  add_set(4, R"("podManagementPolicy":"Parallel","ordinals":{"start":7},)");
  EXPECT_EQ(names(), "web-10 web-7 web-8 web-9");
  change(R"({"replicas":2})");
  EXPECT_EQ(names(), "web-7 web-8");
  change(R"({"ordinals":{"start":8}})");
  EXPECT_EQ(names(), "web-8 web-9");
}

TEST_F(StatefulSetTest, AFinishedPodIsMadeAgainUnderItsName) {
  begin();
  add_set(2);
  settle();
  for (const std::string& how : {"Failed", "Succeeded"}) {
    const std::string before = server.find(client::pods, "x", "web-1").meta().uid;
    phase("web-1", how, false);
    EXPECT_NE(server.find(client::pods, "x", "web-1").meta().uid, before);
    settle();
  }
  EXPECT_EQ(status().readyReplicas, 2);
}

TEST_F(StatefulSetTest, AnUpdateRollsFromTheHighestOrdinalDown) {
  begin();
  add_set(3);
  settle();
  const std::string first = status().currentRevision;
  set_image("two");
  EXPECT_EQ(image("web-2"), "two");
  EXPECT_EQ(image("web-1"), "one");
  EXPECT_EQ(status().currentRevision, first);
  EXPECT_NE(status().updateRevision, first);
  EXPECT_EQ(status().updatedReplicas, 1);
  settle();
  EXPECT_EQ(image("web-0"), "two");
  EXPECT_EQ(status().currentRevision, status().updateRevision);
  EXPECT_EQ(status().currentReplicas, 3);
  // Back: the old revision becomes the newest, none is made.
  set_image("one");
  settle();
  EXPECT_EQ(status().currentRevision, first);
  EXPECT_EQ(server.all(controller_revisions, "x").size(), 2u);
  EXPECT_EQ(server.find(controller_revisions, "x", first).as<ControllerRevision>().revision, 3);
}

TEST_F(StatefulSetTest, AnUpdateThatNeverGetsReadyHaltsAndTheNextOneGoesOnFromThere) {
  begin();
  add_set(3);
  settle();
  set_image("broken");
  phase("web-2", "Running", false);
  EXPECT_EQ(image("web-1"), "one");
  set_image("good");
  EXPECT_EQ(image("web-2"), "broken");  // waits for the broken pod, as Kubernetes does, until somebody deletes it
  server.erase(client::pods, "x", "web-2");
  executor.run();
  EXPECT_EQ(image("web-2"), "good");
  settle();
  EXPECT_EQ(image("web-0"), "good");
}

TEST_F(StatefulSetTest, APartitionHoldsThePodsBelowIt) {
  begin();
  add_set(3, R"("updateStrategy":{"type":"RollingUpdate","rollingUpdate":{"partition":2}},)");
  settle();
  set_image("two");
  settle();
  EXPECT_EQ(image("web-2"), "two");
  EXPECT_EQ(image("web-1"), "one");
  server.erase(client::pods, "x", "web-0");
  executor.run();
  EXPECT_EQ(image("web-0"), "one");  // made again of the current revision
  settle();
  EXPECT_NE(status().currentRevision, status().updateRevision);
  change(R"({"updateStrategy":{"rollingUpdate":{"partition":0}}})");
  settle();
  EXPECT_EQ(image("web-0"), "two");
  EXPECT_EQ(status().currentRevision, status().updateRevision);
}

TEST_F(StatefulSetTest, MaxUnavailableRollsSeveralAtOnce) {
  begin();
  add_set(
      5,
      R"("podManagementPolicy":"Parallel","updateStrategy":{"type":"RollingUpdate","rollingUpdate":{"partition":1,"maxUnavailable":"50%"}},)");
  settle();
  set_image("two");
  EXPECT_EQ(image("web-4"), "two");
  EXPECT_EQ(image("web-3"), "two");
  EXPECT_EQ(image("web-2"), "one");
  settle();
  EXPECT_EQ(image("web-1"), "two");
  EXPECT_EQ(image("web-0"), "one");
}

TEST_F(StatefulSetTest, OnDeleteWaitsForTheUser) {
  begin();
  add_set(2, R"("updateStrategy":{"type":"OnDelete"},)");
  settle();
  set_image("two");
  settle();
  EXPECT_EQ(image("web-1"), "one");
  server.erase(client::pods, "x", "web-1");
  executor.run();
  EXPECT_EQ(image("web-1"), "two");
}

TEST_F(StatefulSetTest, MinReadySecondsHoldTheNextPodBack) {
  begin();
  add_set(2, R"("minReadySeconds":10,)");
  phase("web-0", "Running", true);
  EXPECT_EQ(names(), "web-0");
  EXPECT_EQ(status().readyReplicas, 1);
  EXPECT_EQ(status().availableReplicas, 0);
  executor.advance(11s);
  EXPECT_EQ(names(), "web-0 web-1");
  EXPECT_EQ(status().availableReplicas, 1);
}

TEST_F(StatefulSetTest, OnlyPodsOfItsNameAreAdopted) {
  const auto add_pod = [&](const std::string& name) {
    server.add(client::pods, "x",
               R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":")" + name +
                   R"(","labels":{"app":"web"}},"spec":{"containers":[{"name":"c","image":"old"}]}})");
  };
  add_pod("web-0");
  add_pod("other-1");
  add_pod("web-x");
  phase("web-0", "Running", true);
  begin();
  add_set(1, R"("updateStrategy":{"type":"OnDelete"},)");
  const ObjectRef adopted = server.find(client::pods, "x", "web-0");
  ASSERT_TRUE(adopted.meta().controller());
  EXPECT_EQ(adopted.meta().label("statefulset.kubernetes.io/pod-name"), "web-0");
  EXPECT_FALSE(server.find(client::pods, "x", "other-1").meta().controller());
  EXPECT_FALSE(server.find(client::pods, "x", "web-x").meta().controller());
  server.merge(client::pods, "x", "web-0", R"({"metadata":{"labels":{"app":"debug"}}})");
  executor.run();
  EXPECT_FALSE(server.find(client::pods, "x", "web-0").meta().controller());
}

constexpr const char* with_claims = R"("volumeClaimTemplates":[{"metadata":{"name":"data"},"spec":{"accessModes":["ReadWriteOnce"]}}],)";

TEST_F(StatefulSetTest, ClaimsAreMadeBeforeThePodAndKept) {
  begin();
  add_set(2, with_claims, R"(,"volumes":[{"name":"data","emptyDir":{}},{"name":"tmp","emptyDir":{}}])");
  settle();
  const ObjectRef claim = server.find(persistent_volume_claims, "x", "data-web-1");
  ASSERT_TRUE(claim);
  EXPECT_EQ(claim.meta().label("app"), "web");
  const auto& volumes = server.find(client::pods, "x", "web-1").as<Pod>().spec.volumes;
  ASSERT_EQ(volumes.size(), 2u);
  EXPECT_EQ(volumes[0].persistentVolumeClaim->claimName, "data-web-1");
  EXPECT_EQ(volumes[1].name, "tmp");
  change(R"({"replicas":1})");
  EXPECT_TRUE(server.find(persistent_volume_claims, "x", "data-web-1"));
  EXPECT_EQ(owners_of("data-web-1"), "");
}

TEST_F(StatefulSetTest, ClaimsDieWithWhomThePolicySays) {
  begin();
  add_set(2, std::string(with_claims) + R"("persistentVolumeClaimRetentionPolicy":{"whenDeleted":"Delete","whenScaled":"Delete"},)",
          R"(,"nodeName":"n")");
  settle();
  EXPECT_EQ(owners_of("data-web-0"), "StatefulSet/web ");
  EXPECT_EQ(owners_of("data-web-1"), "StatefulSet/web ");
  server.merge(client::pods, "x", "web-1", R"({"spec":{"terminationGracePeriodSeconds":5}})");
  change(R"({"replicas":1})");
  EXPECT_EQ(owners_of("data-web-1"), "Pod/web-1 ");
  // The pod is gone but its claim not yet: the next pod of this name waits for that.
  change(R"({"replicas":2})");
  server.erase(client::pods, "x", "web-1", {.grace_seconds = 0});
  executor.run();
  EXPECT_EQ(names(), "web-0");
  server.erase(persistent_volume_claims, "x", "data-web-1");
  executor.run();
  EXPECT_EQ(names(), "web-0 web-1");
  settle();
  EXPECT_EQ(owners_of("data-web-1"), "StatefulSet/web ");
  change(R"({"persistentVolumeClaimRetentionPolicy":{"whenDeleted":"Retain","whenScaled":"Retain"}})");
  EXPECT_EQ(owners_of("data-web-1"), "");
}

TEST_F(StatefulSetTest, APodWaitsForAClaimThatIsBeingDeleted) {
  server.add(
      persistent_volume_claims, "x",
      R"({"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{"name":"data-web-0","finalizers":["kubernetes.io/pvc-protection"]},"spec":{}})");
  server.erase(persistent_volume_claims, "x", "data-web-0");
  begin();
  add_set(1, with_claims);
  executor.advance(1s);
  EXPECT_EQ(names(), "");
  server.merge(persistent_volume_claims, "x", "data-web-0", R"({"metadata":{"finalizers":null}})");
  executor.run();
  EXPECT_EQ(names(), "web-0");
}

TEST_F(StatefulSetTest, HistoryIsKeptAsFarAsTheLimitSays) {
  begin();
  add_set(1);
  settle();
  for (int i = 0; i < 6; ++i) {
    set_image("v" + std::to_string(i));
    settle();
  }
  EXPECT_EQ(server.all(controller_revisions, "x").size(), 3u);  // the present one and revisionHistoryLimit others
}

TEST_F(StatefulSetTest, ATakenRevisionNameIsCountedAsACollision) {
  begin();
  add_set(1);
  const std::string taken = status().updateRevision;
  server.erase(stateful_sets, "x", "web");
  server.erase(client::pods, "x", "web-0");
  server.merge(controller_revisions, "x", taken,
               R"({"metadata":{"labels":{"app":"other"},"ownerReferences":null},"data":{"spec":{"template":{"metadata":{}}}}})");
  executor.run();
  add_set(1);
  EXPECT_EQ(status().collisionCount, 1);
  EXPECT_NE(status().updateRevision, taken);
  EXPECT_EQ(names(), "web-0");
}

TEST_F(StatefulSetTest, NothingIsDoneTwiceWhileTheWatchesAreSilent) {
  begin();
  add_set(3, R"("podManagementPolicy":"Parallel",)");
  settle();
  server.hold_watches(true);
  set_image("two");
  const int removed = server.calls["remove pods"];
  for (int i = 0; i < 5; ++i) {
    informers->of(stateful_sets).observe(set());
    executor.advance(1s);
  }
  EXPECT_LE(server.calls["remove pods"], removed + 1);
  server.hold_watches(false);
  executor.advance(1s);
  settle();
  EXPECT_EQ(image("web-0"), "two");
}

TEST_F(StatefulSetTest, AtRestNothingIsWritten) {
  begin();
  add_set(3, std::string(with_claims) + R"("persistentVolumeClaimRetentionPolicy":{"whenDeleted":"Delete","whenScaled":"Retain"},)");
  settle();
  const int64_t revision = server.revision();
  for (int i = 0; i < 3; ++i) {
    informers->of(stateful_sets).observe(set());
    executor.advance(1min);
  }
  EXPECT_EQ(server.revision(), revision);
}

TEST(StatefulName, OnlyATrailingNumberIsAnOrdinal) {
  EXPECT_EQ(parse_stateful_name("a-b-12").ordinal, 12);
  EXPECT_EQ(parse_stateful_name("a-b-12").set, "a-b");
  for (const char* name : {"web", "web-", "web-x", "web--1-", "web-99999999999"}) EXPECT_EQ(parse_stateful_name(name).ordinal, -1) << name;
}

}  // namespace
}  // namespace estiba::controllers
