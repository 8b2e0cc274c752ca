#include <map>

#include "base/fake_executor.h"
#include "client/testing/fake_client.h"
#include "scheduler/testing/cluster_fixture.h"

namespace estiba::scheduler {
namespace {

const std::string zone = "topology.kubernetes.io/zone", host = "kubernetes.io/hostname";
const std::string skewed = "node(s) didn't match pod topology spread constraints", unlabelled = skewed + " (missing required label)";

std::string constraint(const std::string& key, int skew, const std::string& more = "", const std::string& when = "DoNotSchedule",
                       const std::string& selector = "{'matchLabels':{'app':'w'}}") {
  return "{'maxSkew':" + std::to_string(skew) + ",'topologyKey':'" + key + "','whenUnsatisfiable':'" + when +
         "','labelSelector':" + selector + more + "}";
}
std::string spread(const std::string& constraints) { return "'topologySpreadConstraints':[" + constraints + "]"; }
std::string at(const std::string& node) { return "'nodeSelector':{'kubernetes.io/hostname':'" + node + "'}"; }

struct SpreadTest : testing::ClusterFixture {
  void zones(const std::string& nodes) {  // "a1 a2 b1": the first letter is the zone
    for (size_t i = 0; i < nodes.size(); i += 3) node_in(nodes.substr(i, 2), nodes.substr(i, 1));
  }
  void put_many(const std::string& nodes) {
    for (size_t i = 0; i < nodes.size(); i += 3) put(nodes.substr(i, 2), pod("'app':'w'"));
  }
  /// The nodes that can take the pod.
  std::string fitting(const model::ObjectRef& pod) {
    const DemandPtr demand = demand_of(pod);
    const Cycle cycle(default_profile(), cluster, *demand);
    std::set<std::string> names;
    for (const NodeState* node : cluster.nodes())
      if (cycle.check(*node, nullptr) == Verdict::fits) names.insert(node->name);
    std::string out;
    for (const std::string& name : names) out += (out.empty() ? "" : " ") + name;
    return out;
  }
};

struct Case {
  const char* name;
  const char* nodes;
  const char* there;
  std::string constraints;
  const char* labels;  // of the pod
  const char* fits;
};
struct SpreadFilter : SpreadTest, ::testing::WithParamInterface<Case> {};
TEST_P(SpreadFilter, AllowsTheseNodes) {
  zones(GetParam().nodes);
  put_many(GetParam().there);
  put("b1", pod("'app':'w'", "", "elsewhere"));
  put("b1", pod("'app':'other'"));
  EXPECT_EQ(fitting(pod(GetParam().labels, spread(GetParam().constraints))), GetParam().fits);
}
const char* const four = "a1 a2 b1 b2";
INSTANTIATE_TEST_SUITE_P(
    Rules, SpreadFilter,
    ::testing::Values(
        Case{"even", four, "a1 b1", constraint(zone, 1), "'app':'w'", "a1 a2 b1 b2"},
        Case{"the_emptier_zone", four, "a1", constraint(zone, 1), "'app':'w'", "b1 b2"},
        Case{"more_skew", four, "a1", constraint(zone, 2), "'app':'w'", "a1 a2 b1 b2"},
        Case{"hosts", four, "a1 b1", constraint(host, 1), "'app':'w'", "a2 b2"},
        Case{"both", four, "a1 b1 b2", constraint(zone, 1) + "," + constraint(host, 1), "'app':'w'", "a2"},
        Case{"who_does_not_match_adds_nothing", four, "a1", constraint(zone, 1), "'app':'x'", "a1 a2 b1 b2"},
        Case{"who_does_not_match_is_held_to_it", four, "a1 a1", constraint(zone, 1), "'app':'x'", "b1 b2"},
        Case{"soft_ones_filter_nothing", four, "a1 a1 a1", constraint(zone, 1, "", "ScheduleAnyway"), "'app':'w'", "a1 a2 b1 b2"},
        Case{"fewer_domains_than_wanted_count_as_empty", four, "a1 b1", constraint(zone, 1, ",'minDomains':3"), "'app':'w'", ""},
        Case{"enough_domains", four, "a1 b1", constraint(zone, 1, ",'minDomains':2"), "'app':'w'", "a1 a2 b1 b2"},
        Case{"an_empty_selector_counts_nobody", four, "a1 a1", constraint(zone, 1, "", "DoNotSchedule", "{}"), "", "a1 a2 b1 b2"}),
    [](const auto& info) { return info.param.name; });

TEST_F(SpreadTest, AgainstNodesWithoutTheLabelThatIsTheReason) {
  zones("a1 b1");
  node("c", "'kubernetes.io/hostname':'c'");
  put_many("a1");
  EXPECT_EQ(where(pod("'app':'w'", at("c") + "," + spread(constraint(zone, 1)))),
            "0/3 nodes are available: 1 " + unlabelled + ", 2 node(s) didn't match Pod's node affinity/selector.");
  // Only a1 may be chosen, and only b1 would be even; with the selector honoured a1's zone is the only one.
  EXPECT_EQ(where(pod("'app':'w'", at("a1") + "," + spread(constraint(zone, 1)))), "a1");
  EXPECT_EQ(where(pod("'app':'w'", at("a1") + "," + spread(constraint(zone, 1, ",'nodeAffinityPolicy':'Ignore'")))),
            "0/3 nodes are available: 1 " + skewed + ", 2 node(s) didn't match Pod's node affinity/selector.");
}

TEST_F(SpreadTest, PodsOfNodesWithoutOneOfTheLabelsDoNotCount) {
  zones("a1 b1");
  node("c", "'topology.kubernetes.io/zone':'a'");
  put_many("a1 b1");
  put("c", pod("'app':'w'"));
  const auto both = [](int hosts) { return spread(constraint(zone, 1) + "," + constraint(host, hosts)); };
  EXPECT_EQ(fitting(pod("'app':'w'", both(9))), "a1 b1");
  EXPECT_EQ(fitting(pod("'app':'w'", spread(constraint(zone, 1)))), "b1");
}

TEST_F(SpreadTest, TaintedNodesCountUnlessTaintsAreHonoured) {
  zones("a1 b1");
  node_in("c1", "c", "{'taints':[{'key':'k','effect':'NoSchedule'}]}");
  put_many("a1 b1");
  EXPECT_EQ(fitting(pod("'app':'w'", spread(constraint(zone, 1)))), "");
  const std::string honoured = spread(constraint(zone, 1, ",'nodeTaintsPolicy':'Honor'"));
  EXPECT_EQ(fitting(pod("'app':'w'", honoured)), "a1 b1");
  EXPECT_EQ(fitting(pod("'app':'w'", "'tolerations':[{'operator':'Exists'}]," + honoured)), "c1");
  // As taints go and come, so do domains.
  node_in("c1", "c");
  EXPECT_EQ(fitting(pod("'app':'w'", honoured)), "c1");
}

TEST_F(SpreadTest, LabelKeysMakeRevisionsSpreadByThemselves) {
  zones("a1 b1");
  put("a1", pod("'app':'w','hash':'1'"));
  const std::string keys = spread(constraint(zone, 1, ",'matchLabelKeys':['hash']"));
  EXPECT_EQ(fitting(pod("'app':'w','hash':'1'", keys)), "b1");
  EXPECT_EQ(fitting(pod("'app':'w','hash':'2'", keys)), "a1 b1");
  EXPECT_EQ(fitting(pod("'app':'w'", keys)), "b1");
}

TEST_F(SpreadTest, PodsThatAreGoingDoNotCount) {
  zones("a1 b1");
  put("a1", pod("'app':'w'", "", "x", ",'deletionTimestamp':'2026-01-01T00:00:00Z'"));
  EXPECT_EQ(fitting(pod("'app':'w'", spread(constraint(zone, 1)))), "a1 b1");
}

TEST_F(SpreadTest, ManyPodsStayEven) {
  zones("a1 a2 a3 b1 c1");
  std::map<std::string, int> count;
  for (int i = 0; i < 30; ++i) ++count[place(pod("'app':'w'", spread(constraint(zone, 1)))).substr(0, 1)];
  EXPECT_EQ(count, (std::map<std::string, int>{{"a", 10}, {"b", 10}, {"c", 10}}));
  cluster.remove_node("c1");
  EXPECT_EQ(place(pod("'app':'w'", spread(constraint(zone, 1)))).size(), 2u);
  node_in("c1", "c");  // with the pods that it had
  EXPECT_EQ(fitting(pod("'app':'w'", spread(constraint(zone, 1)))).find("a1 a2 a3") == std::string::npos ||
                fitting(pod("'app':'w'", spread(constraint(zone, 1)))).find("b1") == std::string::npos,
            true);
}

TEST_F(SpreadTest, WhatIsTriedOutCounts) {
  zones("a1 b1");
  const std::string uid = put("a1", pod("'app':'w'"));
  const DemandPtr asks = demand_of(pod("'app':'w'", spread(constraint(zone, 1)))), there = demand_of(pod("'app':'w'"));
  const Cycle cycle(default_profile(), cluster, *asks);
  const NodeState &a = *cluster.find("a1"), &b = *cluster.find("b1");
  EXPECT_EQ(cycle.check(a, nullptr), Verdict::unschedulable);
  Cycle without = cycle.copy();
  without.change(*there, a, -1);
  EXPECT_EQ(without.check(a, nullptr), Verdict::fits);
  Cycle more = cycle.copy();
  more.change(*there, b, 1);
  EXPECT_EQ(more.check(a, nullptr), Verdict::fits);
  more.change(*there, b, 1);
  EXPECT_EQ(more.check(b, nullptr), Verdict::unschedulable);
  EXPECT_EQ(cycle.check(a, nullptr), Verdict::unschedulable);
}

TEST_F(SpreadTest, SoftConstraintsPreferTheEmptier) {
  zones("a1 a2 b1 b2");
  put_many("a1 a2 b1");
  for (uint64_t turn = 0; turn < 4; ++turn) {
    EXPECT_EQ(where(pod("'app':'w'", spread(constraint(host, 1, "", "ScheduleAnyway"))), turn), "b2");
    EXPECT_EQ(where(pod("'app':'w'", spread(constraint(zone, 1, "", "ScheduleAnyway"))), turn).substr(0, 1), "b");
  }
}

struct SpreadDefaults : SpreadTest {
  FakeExecutor executor;
  client::testing::FakeClient server{executor};
  client::Informers informers{server};

  void SetUp() override {
    zones("a1 a2 b1 b2");
    cluster.listers = {.services = &informers.of(client::services),
                       .replication_controllers = &informers.of({"", "v1", "replicationcontrollers"}),
                       .replica_sets = &informers.of(client::replica_sets),
                       .stateful_sets = &informers.of({"apps", "v1", "statefulsets"})};
  }
  void add(client::Resource resource, std::string text) {
    std::ranges::replace(text, '\'', '"');
    server.add(resource, "x", text);
    executor.run();
  }
  /// Where a pod of the owner goes at every turn, each once.
  std::set<std::string> places(const std::string& api, const std::string& kind) {
    const std::string owner =
        kind.empty() ? ""
                     : ",'ownerReferences':[{'apiVersion':'" + api + "','kind':'" + kind + "','name':'o','uid':'u','controller':true}]";
    std::set<std::string> out;
    for (uint64_t turn = 0; turn < 4; ++turn) out.insert(where(pod("'app':'w'", "", "x", owner), turn));
    return out;
  }
};

TEST_F(SpreadDefaults, PodsOfOneWorkloadGoApart) {
  put_many("a1 a2 b1");
  // Even out what else is on the nodes.
  put("b2", pod("'app':'other'"));
  EXPECT_EQ(places("", "").size(), 4u) << "a pod by itself has no like";
  add(client::replica_sets,
      "{'apiVersion':'apps/v1','kind':'ReplicaSet','metadata':{'name':'o'},'spec':{'selector':{'matchLabels':{'app':'w'}}}}");
  EXPECT_EQ(places("apps/v1", "ReplicaSet"), std::set<std::string>{"b2"});
  EXPECT_EQ(places("apps/v1", "StatefulSet").size(), 4u);
  add({"apps", "v1", "statefulsets"},
      "{'apiVersion':'apps/v1','kind':'StatefulSet','metadata':{'name':'o'},'spec':{'selector':{'matchLabels':{'app':'w'}}}}");
  EXPECT_EQ(places("apps/v1", "StatefulSet"), std::set<std::string>{"b2"});
  EXPECT_EQ(places("v1", "ReplicationController").size(), 4u);
  add({"", "v1", "replicationcontrollers"},
      "{'apiVersion':'v1','kind':'ReplicationController','metadata':{'name':'o'},'spec':{'selector':{'app':'w'}}}");
  EXPECT_EQ(places("v1", "ReplicationController"), std::set<std::string>{"b2"});
  add(client::services, "{'apiVersion':'v1','kind':'Service','metadata':{'name':'s'},'spec':{'selector':{'app':'w'}}}");
  EXPECT_EQ(places("", ""), std::set<std::string>{"b2"});
}

}  // namespace
}  // namespace estiba::scheduler
