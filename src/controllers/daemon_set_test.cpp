#include "base/strings.h"
#include "controllers/daemon_placement.h"
#include "controllers/pod_facts.h"
#include "controllers/revision_history.h"
#include "controllers/table.h"
#include "controllers/testing/cluster.h"
#include "model/types/apps_v1.h"

namespace estiba::controllers {
namespace {

using namespace std::chrono_literals;
using client::Resource;
using model::ObjectRef;
using model::apps_v1::DaemonSet;
using model::core_v1::Pod;

constexpr Resource daemon_sets{"apps", "v1", "daemonsets"};

struct DaemonSetTest : ControllerTest {
  void begin() { start({make_daemon_set_controller}); }
  void add_node(const std::string& name, const std::string& labels = "{}", const std::string& taints = "[]") {
    server.add(client::nodes, "",
               R"({"apiVersion":"v1","kind":"Node","metadata":{"name":")" + name + R"(","labels":)" + labels + R"(},"spec":{"taints":)" +
                   taints + "}}");
    executor.run();
  }
  void add_set(const std::string& more = R"("updateStrategy":{"type":"RollingUpdate","rollingUpdate":{"maxUnavailable":1,"maxSurge":0}},)",
               const std::string& pod_more = "") {
    server.add(
        daemon_sets, "x",
        R"({"apiVersion":"apps/v1","kind":"DaemonSet","metadata":{"name":"agent","annotations":{"deprecated.daemonset.template.generation":"1"}},"spec":{"revisionHistoryLimit":1,)" +
            more +
            R"("selector":{"matchLabels":{"app":"agent"}},"template":{"metadata":{"labels":{"app":"agent"}},"spec":{"containers":[{"name":"c","image":"one"}],"terminationGracePeriodSeconds":0)" +
            pod_more + "}}}}");
    executor.run();
  }
  void change(const std::string& spec) {
    server.merge(daemon_sets, "x", "agent", R"({"spec":)" + spec + "}");
    executor.run();
  }
  void set_image(const std::string& image) {
    // As the API server does, the generation of the template goes with it.
    server.merge(daemon_sets, "x", "agent",
                 R"({"metadata":{"annotations":{"deprecated.daemonset.template.generation":")" + image +
                     R"("}},"spec":{"template":{"spec":{"containers":[{"name":"c","image":")" + image + R"("}]}}}})");
    executor.run();
  }
  void phase(const std::string& pod, const std::string& phase, bool ready) {
    server.merge(client::pods, "x", pod,
                 R"({"status":{"phase":")" + phase + R"(","conditions":[{"type":"Ready","status":")" + (ready ? "True" : "False") +
                     R"(","lastTransitionTime":")" + now() + R"("}]}})",
                 "status");
    executor.run();
  }
  /// One pod that is not ready becomes so; false when there is none.
  bool settle_one() {
    for (const ObjectRef& pod : server.all(client::pods, "x"))
      if (!is_ready(pod.as<Pod>()) && !is_finished(pod.as<Pod>())) {
        phase(pod.meta().name, "Running", true);
        return true;
      }
    return false;
  }
  void settle() {
    while (settle_one()) {
    }
  }
  /// "node=image" of each pod, sorted.
  std::string where() {
    std::vector<std::string> all;
    for (const ObjectRef& pod : server.all(client::pods, "x"))
      all.push_back(target_node(pod) + "=" + pod.as<Pod>().spec.containers[0].image);
    std::sort(all.begin(), all.end());
    return join(all, " ");
  }
  std::string pod_on(const std::string& node) {
    for (const ObjectRef& pod : server.all(client::pods, "x"))
      if (target_node(pod) == node) return pod.meta().name;
    return {};
  }
  ObjectRef set() { return server.find(daemon_sets, "x", "agent"); }
  const model::apps_v1::DaemonSetStatus& status() { return set().as<DaemonSet>().status; }
};

TEST_F(DaemonSetTest, EachNodeHasOnePodThatIsBoundToIt) {
  add_node("a");
  add_node("b");
  begin();
  add_set();
  EXPECT_EQ(where(), "a=one b=one");
  const ObjectRef pod = server.find(client::pods, "x", pod_on("a"));
  const auto& spec = pod.as<Pod>().spec;
  EXPECT_EQ(spec.affinity->nodeAffinity->requiredDuringSchedulingIgnoredDuringExecution->nodeSelectorTerms[0].matchFields[0].values[0],
            "a");
  EXPECT_EQ(spec.tolerations.size(), 6u);
  EXPECT_EQ(pod.meta().label("pod-template-generation"), "1");
  EXPECT_EQ(pod.meta().label("controller-revision-hash"),
            server.all(controller_revisions, "x")[0].meta().label("controller-revision-hash"));
  EXPECT_EQ(status().desiredNumberScheduled, 2);
  EXPECT_EQ(status().currentNumberScheduled, 2);
  EXPECT_EQ(status().updatedNumberScheduled, 2);
  EXPECT_EQ(status().numberUnavailable, 2);
  settle();
  EXPECT_EQ(status().numberReady, 2);
  EXPECT_EQ(status().numberAvailable, 2);
  EXPECT_EQ(status().observedGeneration, set().meta().generation);
}

TEST_F(DaemonSetTest, ARevisionHoldsTheTemplateAsKubernetesPrintsIt) {
  begin();
  add_set(R"("updateStrategy":{"type":"OnDelete"},)", R"(,"securityContext":{},"dnsPolicy":"ClusterFirst")");
  const auto made = server.all(controller_revisions, "x");
  ASSERT_EQ(made.size(), 1u);
  const auto parsed = json::Document::parse(made[0].object->json());
  EXPECT_EQ(
      json::print(*parsed->root().find("data")),
      R"({"spec":{"template":{"$patch":"replace","metadata":{"labels":{"app":"agent"}},"spec":{"containers":[{"image":"one","name":"c",)"
      R"("resources":{}}],"dnsPolicy":"ClusterFirst","securityContext":{},"terminationGracePeriodSeconds":0}}}})");
}

TEST_F(DaemonSetTest, PodsFollowNodesThatComeChangeAndGo) {
  begin();
  add_set("", R"(,"nodeSelector":{"kind":"big"})");
  EXPECT_EQ(where(), "");
  add_node("a", R"({"kind":"big"})");
  add_node("b", R"({"kind":"small"})");
  EXPECT_EQ(where(), "a=one");
  server.merge(client::nodes, "", "b", R"({"metadata":{"labels":{"kind":"big"}}})");
  executor.run();
  EXPECT_EQ(where(), "a=one b=one");
  server.merge(client::nodes, "", "a", R"({"metadata":{"labels":{"kind":"small"}}})");
  executor.run();
  EXPECT_EQ(where(), "b=one");
  server.erase(client::nodes, "", "b");
  executor.run();
  EXPECT_EQ(where(), "");  // it had not been placed
  EXPECT_EQ(status().desiredNumberScheduled, 0);
}

TEST_F(DaemonSetTest, TaintsKeepPodsAwayOrDriveThemOff) {
  add_node("a", "{}", R"([{"key":"dedicated","value":"db","effect":"NoSchedule"}])");
  add_node(
      "b", "{}",
      R"([{"key":"node.kubernetes.io/unschedulable","effect":"NoSchedule"},{"key":"node.kubernetes.io/not-ready","effect":"NoExecute"}])");
  add_node("c");
  begin();
  add_set();
  EXPECT_EQ(where(), "b=one c=one");
  server.merge(client::nodes, "", "c", R"({"spec":{"taints":[{"key":"dedicated","effect":"NoSchedule"}]}})");
  executor.run();
  EXPECT_EQ(where(), "b=one c=one");  // it may stay
  EXPECT_EQ(status().numberMisscheduled, 1);
  server.merge(client::nodes, "", "c", R"({"spec":{"taints":[{"key":"dedicated","effect":"NoExecute"}]}})");
  executor.run();
  EXPECT_EQ(where(), "b=one");
  change(R"({"template":{"spec":{"tolerations":[{"operator":"Exists"}]}}})");
  settle();
  EXPECT_EQ(where(), "a=one b=one c=one");
}

TEST_F(DaemonSetTest, AnUpdateReplacesAsManyAsMayLack) {
  for (const char* node : {"a", "b", "c"}) add_node(node);
  begin();
  add_set();
  settle();
  set_image("two");
  EXPECT_EQ(where(), "a=two b=one c=one");
  EXPECT_EQ(status().updatedNumberScheduled, 1);
  phase(pod_on("a"), "Running", true);
  EXPECT_EQ(where(), "a=two b=two c=one");
  settle();
  EXPECT_EQ(where(), "a=two b=two c=two");
  EXPECT_EQ(status().updatedNumberScheduled, 3);
  set_image("one");
  settle();
  EXPECT_EQ(where(), "a=one b=one c=one");
  EXPECT_EQ(server.all(controller_revisions, "x").size(), 2u);
}

TEST_F(DaemonSetTest, APodThatDoesNotServeIsReplacedAtOnce) {
  for (const char* node : {"a", "b", "c"}) add_node(node);
  begin();
  add_set();
  settle();
  phase(pod_on("b"), "Running", false);
  phase(pod_on("c"), "Running", false);
  set_image("two");
  EXPECT_EQ(where(), "a=one b=two c=two");
}

TEST_F(DaemonSetTest, ASurgeKeepsTheOldPodUntilTheNewOneIsAvailable) {
  for (const char* node : {"a", "b"}) add_node(node);
  begin();
  add_set(R"("updateStrategy":{"type":"RollingUpdate","rollingUpdate":{"maxUnavailable":0,"maxSurge":"50%"}},)");
  settle();
  set_image("two");
  EXPECT_EQ(where(), "a=one a=two b=one");
  settle_one();
  EXPECT_EQ(where(), "a=two b=one b=two");
  settle();
  EXPECT_EQ(where(), "a=two b=two");
}

TEST_F(DaemonSetTest, OnDeleteWaitsForTheUser) {
  add_node("a");
  begin();
  add_set(R"("updateStrategy":{"type":"OnDelete"},)");
  settle();
  set_image("two");
  EXPECT_EQ(where(), "a=one");
  EXPECT_EQ(status().updatedNumberScheduled.value_or(0), 0);
  server.erase(client::pods, "x", pod_on("a"));
  executor.run();
  EXPECT_EQ(where(), "a=two");
}

TEST_F(DaemonSetTest, FailedPodsAreReplacedAfterAGrowingPause) {
  add_node("a");
  begin();
  add_set();
  const auto fail_it = [&] {
    const std::string name = pod_on("a");
    phase(name, "Failed", false);
    return name;
  };
  const std::string first = fail_it();
  EXPECT_NE(pod_on("a"), first);  // at once
  const std::string second = fail_it();
  EXPECT_EQ(pod_on("a"), second);
  executor.advance(1100ms);
  EXPECT_NE(pod_on("a"), second);
  const std::string third = fail_it();
  executor.advance(1100ms);
  EXPECT_EQ(pod_on("a"), third);
  executor.advance(1s);
  EXPECT_NE(pod_on("a"), third);
  phase(pod_on("a"), "Succeeded", false);
  EXPECT_EQ(where(), "a=one");
}

TEST_F(DaemonSetTest, PodsAreAdoptedAndSurplusOnesGo) {
  add_node("a");
  for (const char* name : {"p1", "p2"})
    server.add(
        client::pods, "x",
        R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":")" + std::string(name) +
            R"(","labels":{"app":"agent"}},"spec":{"nodeName":"a","terminationGracePeriodSeconds":0,"containers":[{"name":"c","image":"old"}]}})");
  begin();
  add_set(R"("updateStrategy":{"type":"OnDelete"},)");
  EXPECT_EQ(where(), "a=old");
  EXPECT_EQ(server.find(client::pods, "x", pod_on("a")).meta().controller()->name, "agent");
}

TEST_F(DaemonSetTest, MinReadySecondsDecideWhatIsAvailable) {
  add_node("a");
  begin();
  add_set(R"("minReadySeconds":10,)");
  settle();
  EXPECT_EQ(status().numberReady, 1);
  EXPECT_EQ(status().numberAvailable.value_or(0), 0);
  executor.advance(11s);
  EXPECT_EQ(status().numberAvailable, 1);
}

TEST_F(DaemonSetTest, HeartbeatsOfNodesWriteNothing) {
  add_node("a");
  begin();
  add_set();
  settle();
  const auto calls = server.calls;
  server.merge(client::nodes, "", "a", R"({"status":{"conditions":[{"type":"Ready","status":"True"}]}})", "status");
  executor.advance(1min);
  EXPECT_EQ(server.calls, calls);
}

}  // namespace
}  // namespace estiba::controllers
