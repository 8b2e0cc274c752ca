#include "controllers/node_health.h"
#include "controllers/pod_facts.h"
#include "controllers/testing/cluster.h"

namespace estiba::controllers {
namespace {

using namespace std::chrono_literals;
using model::ObjectRef;
using model::core_v1::Node;
using model::core_v1::Pod;

struct NodeTest : ControllerTest {
  void add_node(const std::string& name, const std::string& ready = "True") {
    server.add(client::nodes, "",
               R"({"apiVersion":"v1","kind":"Node","metadata":{"name":")" + name +
                   R"("},"spec":{},"status":{"conditions":[{"type":"Ready","status":")" + ready +
                   R"(","reason":"KubeletReady","lastHeartbeatTime":")" + now() + R"("}]}})");
    server.add(client::leases, "kube-node-lease",
               R"({"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":")" + name + R"("},"spec":{"renewTime":"0"}})");
    executor.run();
  }
  void renew(const std::string& name) {
    server.merge(client::leases, "kube-node-lease", name, R"({"spec":{"renewTime":")" + now() + R"("}})");
    executor.run();
  }
  void set_ready(const std::string& name, const std::string& ready) {
    server.merge(client::nodes, "", name,
                 R"({"status":{"conditions":[{"type":"Ready","status":")" + ready + R"(","lastHeartbeatTime":")" + now() + R"("}]}})",
                 "status");
    executor.run();
  }
  void add_pod(const std::string& name, const std::string& node, const std::string& more = "") {
    server.add(client::pods, "x",
               R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":")" + name + R"("},"spec":{"nodeName":")" + node +
                   R"(","terminationGracePeriodSeconds":0,"containers":[])" + more +
                   R"(},"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}})");
    executor.run();
  }
  std::string ready(const std::string& name) { return server.find(client::nodes, "", name).as<Node>().status.conditions[0].status; }
  std::string taints(const std::string& name) {
    std::string out;
    for (const auto& taint : server.find(client::nodes, "", name).as<Node>().spec.taints)
      out += (out.empty() ? "" : " ") + taint.key.substr(19) + ":" + taint.effect;
    return out;
  }
  bool has_pod(const std::string& name) { return bool(server.find(client::pods, "x", name)); }
};

TEST_F(NodeTest, ANodeThatRenewsItsLeaseStaysReady) {
  start({make_node_lifecycle_controller});
  add_node("n");
  for (int i = 0; i < 30; ++i) {
    executor.advance(10s);
    renew("n");
  }
  EXPECT_EQ(ready("n"), "True");
  EXPECT_EQ(taints("n"), "");
}

TEST_F(NodeTest, ASilentNodeIsUnknownAfterTheGraceAndItsPodsGoAfterTheirTolerations) {
  start({make_node_lifecycle_controller});
  add_node("n");
  add_pod("plain", "n");
  add_pod("quick", "n",
          R"(,"tolerations":[{"key":"node.kubernetes.io/unreachable","operator":"Exists","effect":"NoExecute","tolerationSeconds":10}])");
  add_pod("faithful", "n", R"(,"tolerations":[{"operator":"Exists"}])");
  executor.advance(39s);
  EXPECT_EQ(ready("n"), "True");
  executor.advance(2s);
  EXPECT_EQ(ready("n"), "Unknown");
  EXPECT_EQ(taints("n"), "unreachable:NoSchedule unreachable:NoExecute");
  EXPECT_FALSE(is_ready(server.find(client::pods, "x", "plain").as<Pod>()));
  EXPECT_TRUE(has_pod("quick"));
  executor.advance(11s);
  EXPECT_FALSE(has_pod("quick"));
  EXPECT_TRUE(has_pod("plain"));
  executor.advance(5min);
  EXPECT_FALSE(has_pod("plain"));
  EXPECT_TRUE(has_pod("faithful"));
}

TEST_F(NodeTest, TolerationsOfATaintThatSaysNoTimeEndAllTheSame) {
  start({make_node_lifecycle_controller});
  add_node("n");
  const std::string tolerates = R"(,"tolerations":[{"key":"mine","operator":"Exists","effect":"NoExecute","tolerationSeconds":10}])";
  add_pod("first", "n", tolerates);
  server.merge(client::nodes, "", "n", R"({"spec":{"taints":[{"key":"mine","effect":"NoExecute"}]}})");
  executor.run();
  executor.advance(8s);
  renew("n");
  EXPECT_TRUE(has_pod("first"));
  add_pod("later", "n", tolerates);
  executor.advance(4s);
  EXPECT_FALSE(has_pod("first"));
  EXPECT_TRUE(has_pod("later")) << "its ten seconds began when it came";
  executor.advance(8s);
  EXPECT_FALSE(has_pod("later"));
  // Taken away and put on again, the time begins anew.
  server.merge(client::nodes, "", "n", R"({"spec":{"taints":null}})");
  add_pod("third", "n", tolerates);
  executor.advance(8s);
  server.merge(client::nodes, "", "n", R"({"spec":{"taints":[{"key":"mine","effect":"NoExecute"}]}})");
  executor.run();
  executor.advance(8s);
  EXPECT_TRUE(has_pod("third"));
  executor.advance(4s);
  EXPECT_FALSE(has_pod("third"));
}

TEST_F(NodeTest, ANodeThatComesBackLosesItsTaintsAndKeepsItsPods) {
  start({make_node_lifecycle_controller});
  add_node("n");
  add_pod("p", "n");
  executor.advance(2min);
  EXPECT_EQ(ready("n"), "Unknown");
  set_ready("n", "True");
  EXPECT_EQ(taints("n"), "");
  for (int i = 0; i < 60; ++i) {
    executor.advance(10s);
    renew("n");
  }
  EXPECT_TRUE(has_pod("p"));
}

TEST_F(NodeTest, ANodeThatFlapsKeepsItsPodsAndNoTaint) {
  start({make_node_lifecycle_controller});
  add_node("n");
  add_pod("p", "n",
          R"(,"tolerations":[{"key":"node.kubernetes.io/unreachable","operator":"Exists","effect":"NoExecute","tolerationSeconds":300}])");
  for (int i = 0; i < 20; ++i) {
    executor.advance(50s);
    EXPECT_EQ(taints("n"), "unreachable:NoSchedule unreachable:NoExecute") << i;
    set_ready("n", "True");
    renew("n");
    EXPECT_EQ(taints("n"), "") << i;
  }
  EXPECT_TRUE(has_pod("p"));
  EXPECT_LE(server.calls["patch nodes"] + server.calls["update nodes"], 200);
}

TEST_F(NodeTest, ANotReadyNodeIsTaintedAndItsPodsAreLeftToIt) {
  start({make_node_lifecycle_controller});
  add_node("n");
  add_pod("p", "n");
  set_ready("n", "False");
  EXPECT_EQ(taints("n"), "not-ready:NoSchedule not-ready:NoExecute");
  EXPECT_TRUE(is_ready(server.find(client::pods, "x", "p").as<Pod>()));
  set_ready("n", "True");
  EXPECT_EQ(taints("n"), "");
}

TEST_F(NodeTest, ACordonedNodeIsTaintedAndTaintsOfOthersStay) {
  start({make_node_lifecycle_controller});
  add_node("n");
  server.merge(client::nodes, "", "n",
               R"({"spec":{"unschedulable":true,"taints":[{"key":"node.kubernetes.io/x-mine","effect":"NoSchedule"}]}})");
  executor.run();
  EXPECT_EQ(taints("n"), "x-mine:NoSchedule unschedulable:NoSchedule");
  server.merge(client::nodes, "", "n", R"({"spec":{"unschedulable":null}})");
  executor.run();
  EXPECT_EQ(taints("n"), "x-mine:NoSchedule");
}

TEST_F(NodeTest, AServerThatWasAwayGivesItsNodesTheWholeGrace) {
  add_node("n");
  executor.advance(1h);
  start({make_node_lifecycle_controller});
  executor.advance(30s);
  EXPECT_EQ(ready("n"), "True");
  executor.advance(20s);
  EXPECT_EQ(ready("n"), "Unknown");
}

TEST_F(NodeTest, PodsOfANodeThatIsGoneAreRemovedAfterTheQuarantine) {
  start({make_pod_collector});
  add_node("n");
  add_pod("p", "n");
  server.merge(client::pods, "x", "p", R"({"spec":{"terminationGracePeriodSeconds":30}})");
  server.erase(client::nodes, "", "n");
  executor.advance(30s);
  EXPECT_TRUE(has_pod("p"));
  executor.advance(11s);
  EXPECT_FALSE(has_pod("p"));
}

TEST_F(NodeTest, TheOldestFinishedPodsGoAboveTheThreshold) {
  options.terminated_pod_threshold = 3;
  start({make_pod_collector});
  add_node("n");
  for (int i = 0; i < 5; ++i) {
    add_pod("p" + std::to_string(i), "n");
    executor.advance(2s);
  }
  for (int i = 0; i < 5; ++i) server.merge(client::pods, "x", "p" + std::to_string(i), R"({"status":{"phase":"Succeeded"}})", "status");
  executor.run();
  EXPECT_FALSE(has_pod("p0") || has_pod("p1"));
  EXPECT_TRUE(has_pod("p2") && has_pod("p3") && has_pod("p4"));
}

}  // namespace
}  // namespace estiba::controllers
