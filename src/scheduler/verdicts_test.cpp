#include "scheduler/verdicts.h"

#include <random>
#include <set>

#include "base/fake_executor.h"
#include "client/testing/fake_client.h"
#include "scheduler/preempt.h"
#include "scheduler/testing/cluster_fixture.h"

namespace estiba::scheduler {
namespace {

struct VerdictsTest : testing::ClusterFixture {
  FakeExecutor executor;
  client::testing::FakeClient server{executor};
  client::Informers informers{server};
  client::Informer& budgets = informers.of({"policy", "v1", "poddisruptionbudgets"});
  VerdictCache cache{0};
  std::mt19937 random{1};

  VerdictsTest() { executor.run(); }

  uint32_t any(uint32_t below) { return uint32_t(random() % below); }
  static std::set<std::string> names(const std::vector<const NodeState*>& nodes) {
    std::set<std::string> out;
    for (const NodeState* node : nodes) out.insert(node->name);
    return out;
  }
  static std::string told(const Preemption& preemption) {
    std::string out = preemption.node ? preemption.node->name : preemption.message;
    for (const DemandPtr& victim : preemption.victims) out += " " + victim->pod.meta().name;
    return out;
  }
  /// Decides with and without what is remembered; both must come to the same. Returns whether something could be remembered.
  bool expect_same(const DemandPtr& demand, uint64_t turn, const std::string& when) {
    const Cycle cycle(default_profile(), cluster, *demand);
    Verdicts* known = cache.of(cycle);
    const Decision with = decide(cycle, turn, known), without = decide(cycle, turn);
    EXPECT_EQ(with.node, without.node) << when;
    EXPECT_EQ(with.message, without.message) << when;
    EXPECT_EQ(with.looked_at, without.looked_at) << when;
    if (with.node) return known != nullptr;
    const auto& nodes = known ? known->may_preempt() : with.may_preempt;
    EXPECT_EQ(names(nodes), names(without.may_preempt)) << when;
    EXPECT_EQ(told(find_victims(cycle, nodes, budgets, turn, known)), told(find_victims(cycle, without.may_preempt, budgets, turn)))
        << when;
    return known != nullptr;
  }
};

TEST_F(VerdictsTest, WhateverHappensTheAnswersAreThoseOfTheNodesNow) {
  const std::vector<std::string> specs = {
      "'priority':5",
      "'priority':5,'nodeSelector':{'disk':'ssd'}",
      "'priority':9,'tolerations':[{'key':'gpu','operator':'Exists'}]",
      "'priority':0",
      "'priority':7,'affinity':{'podAntiAffinity':{'requiredDuringSchedulingIgnoredDuringExecution':[{'topologyKey':'kubernetes.io/"
      "hostname','labelSelector':{'matchLabels':{'app':'shy'}}}]}}",
  };
  const std::vector<std::string> labels = {"", "'app':'shy'"};
  const auto some_pod = [&] {
    // A node has four cores: two or three pods fill it.
    return pod(labels[any(2)], specs[any(5)] + ",'resources':{'requests':{'cpu':'" + std::to_string(1 + any(3)) + "'}}");
  };
  const auto set_some_node = [&] {
    const std::string name = "n" + std::to_string(any(12));
    node(name, "'kubernetes.io/hostname':'" + name + "'" + (any(2) ? ",'disk':'ssd'" : ""),
         any(4)   ? "{}"
         : any(2) ? "{'taints':[{'key':'gpu','effect':'NoSchedule'}]}"
                  : "{'unschedulable':true}");
  };
  for (int i = 0; i < 8; ++i) set_some_node();
  std::vector<std::string> placed, nominated;
  size_t remembered = 0;
  for (int step = 0; step < 4000; ++step) {
    switch (any(8)) {
      case 0: set_some_node(); break;
      case 1: cluster.remove_node("n" + std::to_string(any(12))); break;
      case 2:
      case 3: placed.push_back(put("n" + std::to_string(any(12)), some_pod())); break;
      case 4:
        if (placed.size() > 10) {
          const size_t i = any(uint32_t(placed.size()));
          cluster.remove_pod(placed[i]);
          placed.erase(placed.begin() + long(i));
        }
        break;
      case 5: {
        const DemandPtr demand = demand_of(some_pod());
        cluster.nominate(demand, "n" + std::to_string(any(12)));
        nominated.push_back(demand->pod.meta().uid);
        break;
      }
      case 6:
        if (!nominated.empty()) {
          cluster.drop_nomination(nominated.back());
          nominated.pop_back();
        }
        break;
      default: break;
    }
    remembered += expect_same(demand_of(some_pod()), any(20), "step " + std::to_string(step));
    if (HasFailure()) return;
  }
  EXPECT_GT(remembered, 1000u);
}

TEST_F(VerdictsTest, OnlyWhatLooksAtTheNodeAloneIsRemembered) {
  node_in("a", "z1");
  const auto remembered = [&](const model::ObjectRef& pod) {
    const DemandPtr demand = demand_of(pod);
    return cache.of(Cycle(default_profile(), cluster, *demand)) != nullptr;
  };
  const std::string near =
      "'affinity':{'podAffinity':{'requiredDuringSchedulingIgnoredDuringExecution':[{'topologyKey':"
      "'kubernetes.io/hostname','labelSelector':{'matchLabels':{'app':'db'}}}]}}";
  EXPECT_TRUE(remembered(pod("'app':'web'")));
  EXPECT_TRUE(remembered(pod("'app':'web'", "'nodeSelector':{'disk':'ssd'}")));
  EXPECT_FALSE(remembered(pod("'app':'web'", near)));
  EXPECT_FALSE(remembered(pod("",
                              "'topologySpreadConstraints':[{'maxSkew':1,'topologyKey':'kubernetes.io/hostname','whenUnsatisfiable':"
                              "'DoNotSchedule','labelSelector':{'matchLabels':{'app':'web'}}}]")));
  put("a", pod("",
               "'affinity':{'podAntiAffinity':{'requiredDuringSchedulingIgnoredDuringExecution':[{'topologyKey':'kubernetes.io/"
               "hostname','labelSelector':{'matchLabels':{'app':'web'}}}]}}"));
  EXPECT_FALSE(remembered(pod("'app':'web'"))) << "a pod that is there cannot bear it";
  EXPECT_TRUE(remembered(pod("'app':'other'")));
}

TEST_F(VerdictsTest, PodsThatAskTheSameHaveTheSameShape) {
  const auto shape = [&](const std::string& labels, const std::string& spec) { return shape_of(*demand_of(pod(labels, spec))); };
  EXPECT_EQ(shape("'app':'a'", ""), shape("'app':'b'", ""));
  const std::set<std::string> different = {shape("", ""),
                                           shape("", "'priority':1"),
                                           shape("", "'nodeSelector':{'a':'b'}"),
                                           shape("", "'tolerations':[{'key':'a','operator':'Exists'}]"),
                                           shape("", "'tolerations':[{'key':'a','operator':'Exists','effect':'NoSchedule'}]"),
                                           shape("",
                                                 "'hostNetwork':true,'initContainers':[{'name':'i','restartPolicy':'Always','ports':"
                                                 "[{'containerPort':80,'hostPort':80}]}]"),
                                           shape("", "'resources':{'requests':{'cpu':'1'}}"),
                                           shape("", "'overhead':{'example.com/x':'1'}"),
                                           shape("", "'hostNetwork':true,'hostUsers':false"),
                                           shape("",
                                                 "'affinity':{'nodeAffinity':{'requiredDuringSchedulingIgnoredDuringExecution':"
                                                 "{'nodeSelectorTerms':[{'matchExpressions':[{'key':'a','operator':'Exists'}]}]}}}")};
  EXPECT_EQ(different.size(), 10u);
}

}  // namespace
}  // namespace estiba::scheduler
