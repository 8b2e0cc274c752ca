#include "autoscale/estimate.h"

#include "autoscale/testing/groups.h"
#include "scheduler/testing/cluster_fixture.h"

namespace estiba::autoscale {
namespace {

using scheduler::DemandPtr;
using testing::group;

struct EstimateTest : scheduler::testing::ClusterFixture {
  const scheduler::Configuration configuration;
  Refusals refusals;

  DemandPtr waiting(const std::string& cpu, const std::string& memory = "1Gi", const std::string& spec = "",
                    const std::string& labels = "") {
    const std::string name = "w" + std::to_string(++made);
    return scheduler::demand_of(scheduler::testing::object("{'apiVersion':'v1','kind':'Pod','metadata':{'name':'" + name +
                                                           "','namespace':'x','uid':'" + name + "','labels':{" + labels +
                                                           "}},'spec':{'containers':[{'name':'c','resources':{'requests':{'cpu':'" + cpu +
                                                           "','memory':'" + memory + "'}}}]" + (spec.empty() ? "" : "," + spec) + "}}"));
  }
  std::vector<DemandPtr> several(int count, const std::string& cpu, const std::string& spec = "", const std::string& labels = "") {
    std::vector<DemandPtr> out;
    for (int i = 0; i < count; ++i) out.push_back(waiting(cpu, "1Gi", spec, labels));
    return out;
  }
  /// "2 nodes, 3 pods", or why the first pod is not helped.
  std::string result(const NodeGroup& of, std::vector<DemandPtr> pods, int64_t most = 100, std::vector<model::ObjectRef> daemons = {}) {
    refusals.clear();
    Simulation simulation(cluster, configuration);
    const auto option = estimate(simulation, of, most, pods, daemons, refusals);
    EXPECT_TRUE(cluster.nodes().empty() || cluster.nodes().size() == real) << "the cluster is as it was";
    if (option) return std::to_string(option->nodes) + " nodes, " + std::to_string(option->pods.size()) + " pods";
    const auto& said = refusals[pods[0]->pod.meta().uid];
    return said.empty() ? "nothing is said" : said[0];
  }
  size_t real = 0;
};

TEST_F(EstimateTest, PacksPodsOntoAsFewNodesAsItTakes) {
  const NodeGroup small = group("small", "4", "16Gi", 10);
  EXPECT_EQ(result(small, several(1, "1")), "1 nodes, 1 pods");
  EXPECT_EQ(result(small, several(8, "1")), "2 nodes, 8 pods");
  EXPECT_EQ(result(small, several(9, "1")), "3 nodes, 9 pods");
  EXPECT_EQ(result(small, {waiting("1"), waiting("3"), waiting("1"), waiting("3")}), "2 nodes, 4 pods") << "the large ones first";
  EXPECT_EQ(result(small, several(11, "100m")), "2 nodes, 11 pods") << "ten pods a node";
  EXPECT_EQ(result(small, several(9, "1"), 2), "2 nodes, 8 pods") << "no more than may be";
}

TEST_F(EstimateTest, SaysWhyAPodWouldNotBeHelped) {
  NodeGroup workers = group("workers", "4", "16Gi", 10);
  EXPECT_EQ(result(workers, several(1, "5")), "Insufficient cpu");
  EXPECT_EQ(result(workers, {waiting("1", "1Gi", "'nodeSelector':{'disk':'ssd'}")}), "node(s) didn't match Pod's node affinity/selector");
  workers.node.labels["disk"] = "ssd";
  EXPECT_EQ(result(workers, {waiting("1", "1Gi", "'nodeSelector':{'disk':'ssd'}")}), "1 nodes, 1 pods");
  workers.node.taints = {{.key = "dedicated", .value = "batch", .effect = "NoSchedule"}};
  EXPECT_EQ(result(workers, several(1, "1")), "node(s) had untolerated taint {dedicated: batch}");
  EXPECT_EQ(result(workers, {waiting("1", "1Gi", "'tolerations':[{'key':'dedicated','operator':'Exists'}]")}), "1 nodes, 1 pods");
}

TEST_F(EstimateTest, LooksAtOtherPodsAsTheSchedulerDoes) {
  const NodeGroup workers = group("workers", "4", "16Gi", 10);
  const std::string apart =
      "'affinity':{'podAntiAffinity':{'requiredDuringSchedulingIgnoredDuringExecution':[{'topologyKey':"
      "'kubernetes.io/hostname','labelSelector':{'matchLabels':{'app':'web'}}}]}}";
  EXPECT_EQ(result(workers, several(3, "100m", apart, "'app':'web'")), "3 nodes, 3 pods");
  const std::string spread =
      "'topologySpreadConstraints':[{'maxSkew':1,'topologyKey':'kubernetes.io/hostname','whenUnsatisfiable':"
      "'DoNotSchedule','labelSelector':{'matchLabels':{'app':'web'}}}]";
  EXPECT_NE(result(workers, several(4, "100m", spread, "'app':'web'")).find("4 pods"), std::string::npos);
}

TEST_F(EstimateTest, LeavesRoomForDaemons) {
  const NodeGroup workers = group("workers", "4", "16Gi", 10);
  const auto set = scheduler::testing::object(
      "{'apiVersion':'apps/"
      "v1','kind':'DaemonSet','metadata':{'name':'logs','namespace':'x','uid':'logs'},'spec':{'selector':{'matchLabels':"
      "{'app':'logs'}},'template':{'metadata':{'labels':{'app':'logs'}},'spec':{'containers':[{'name':'c','resources':{'requests':{'cpu':"
      "'1'}}}]}}}}");
  EXPECT_EQ(result(workers, several(4, "1")), "1 nodes, 4 pods");
  EXPECT_EQ(result(workers, several(4, "1"), 100, {set}), "2 nodes, 4 pods");
  EXPECT_EQ(result(workers, several(1, "4"), 100, {set}), "Insufficient cpu");
}

TEST_F(EstimateTest, TheLeastWasteIsBestAndPriorityBreaksTies) {
  const NodeGroup large = group("large", "16", "16Gi", 10), small = group("small", "4", "4Gi", 10),
                  preferred = group("preferred", "4", "4Gi", 10, 5);
  const auto pods = several(4, "1");
  std::vector<Option> options;
  Simulation simulation(cluster, configuration);
  for (const NodeGroup* each : {&large, &small, &preferred}) options.push_back(*estimate(simulation, *each, each->max, pods, {}, refusals));
  EXPECT_EQ(best_of(options).group->name, "preferred");
  options.pop_back();
  EXPECT_EQ(best_of(options).group->name, "small");
  EXPECT_NEAR(options[1].waste, 0, 1e-9);
  EXPECT_NEAR(options[0].waste, 1.5, 1e-9);
}

TEST_F(EstimateTest, PutsTheClusterBackAsItWas) {
  node("a", "");
  const auto there = pod("");
  put("a", there);
  {
    Simulation simulation(cluster, configuration);
    simulation.take_node("a");
    EXPECT_TRUE(cluster.nodes().empty());
    simulation.add_node(template_node(group("g", "1", "1Gi", 1), "g-1"));
    EXPECT_TRUE(simulation.place(waiting("500m")));
    EXPECT_FALSE(simulation.place(waiting("600m")));
  }
  ASSERT_EQ(cluster.nodes().size(), 1u);
  EXPECT_EQ(cluster.nodes()[0]->name, "a");
  EXPECT_EQ(cluster.nodes()[0]->pods, 1);
}

}  // namespace
}  // namespace estiba::autoscale
