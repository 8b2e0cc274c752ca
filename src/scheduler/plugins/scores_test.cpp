// Single scores, as Kubernetes' plugins give them.
#include "scheduler/plugins/plugins.h"
#include "scheduler/testing/cluster_fixture.h"

namespace estiba::scheduler {
namespace {

struct ScoresTest : testing::ClusterFixture {
  using Score = decltype(ScorePlugin::score);
  /// By name of the node; "-" when it makes no difference.
  std::string scores(Score plugin, const model::ObjectRef& pod) {
    const DemandPtr demand = demand_of(pod);
    std::vector<const NodeState*> nodes(cluster.nodes().begin(), cluster.nodes().end());
    std::ranges::sort(nodes, {}, &NodeState::name);
    std::vector<int64_t> out(nodes.size());
    if (!plugin(cluster, *demand, PluginArgs{}, nodes, out)) return "-";
    std::string text;
    for (size_t i = 0; i < nodes.size(); ++i) text += (i ? " " : "") + nodes[i]->name + "=" + std::to_string(out[i]);
    return text;
  }
  model::ObjectRef asks(const std::string& cpu, const std::string& memory, const std::string& image = "i") {
    return testing::object("{'apiVersion':'v1','kind':'Pod','metadata':{'name':'q','namespace':'x','uid':'q" + std::to_string(++made) +
                           "'},'spec':{'containers':[{'name':'c','image':'" + image + "','resources':{'requests':{" +
                           (cpu.empty() ? "" : "'cpu':'" + cpu + "','memory':'" + memory + "'") + "}}}]}}");
  }
  std::string zone_at(size_t i) { return std::string(cluster.nodes()[i]->node.meta().label("topology.kubernetes.io/zone")); }
  void node_of(const std::string& name, const std::string& allocatable, const std::string& images = "") {
    cluster.set_node(testing::object("{'apiVersion':'v1','kind':'Node','metadata':{'name':'" + name +
                                     "'},'spec':{},'status':{'allocatable':{" + allocatable + ",'pods':'110'},'images':[" + images +
                                     "]}}"));
  }
};

TEST_F(ScoresTest, TheEmptierIsBetter) {
  node_of("a", "'cpu':'4','memory':'10000'");
  node_of("b", "'cpu':'10','memory':'10000'");
  node_of("c", "'memory':'10000'");
  // cpu: (4000-3000)*100/4000 = 25, (10000-3000)*100/10000 = 70; memory: (10000-5000)*100/10000 = 50.
  EXPECT_EQ(scores(score_resources, asks("3", "5000")), "a=37 b=60 c=50");
}

TEST_F(ScoresTest, BalanceIsTheImprovement) {
  node_of("a", "'cpu':'4','memory':'10000'");
  node_of("b", "'cpu':'10','memory':'10000'");
  put("b", asks("1", "5000"));  // 0.1 and 0.5 before: 80; 0.4 and 1.0 with the pod: 70
  // a: 0.75 and 0.5 with the pod: 87 after 100 before.
  EXPECT_EQ(scores(score_balanced, asks("3", "5000")), "a=68 b=70");
  EXPECT_EQ(scores(score_balanced, asks("", "")), "-");
}

TEST_F(ScoresTest, ImagesThatAreThereCountByTheirSizeAndSpread) {
  const auto image = [](const std::string& names, int64_t mib) {
    return "{'names':[" + names + "],'sizeBytes':" + std::to_string(mib << 20) + "}";
  };
  const std::string room = "'cpu':'4','memory':'10000'";
  node_of("a", room, image("'host/app:1','host/app@sha256:0'", 400) + "," + image("'tiny:latest'", 10));
  node_of("b", room, image("'host/app:1'", 400) + "," + image("'huge:latest'", 4000));
  node_of("c", room);
  EXPECT_EQ(scores(score_images, asks("1", "1", "nowhere")), "-");
  // 400 MiB * 2/3 = 266 MiB; (266 - 23) * 100 / (1000 - 23) = 24.
  EXPECT_EQ(scores(score_images, asks("1", "1", "host/app:1")), "a=24 b=24 c=0");
  EXPECT_EQ(scores(score_images, asks("1", "1", "tiny")), "a=0 b=0 c=0");
  EXPECT_EQ(scores(score_images, asks("1", "1", "huge")), "a=0 b=100 c=0");
  cluster.remove_node("a");
  // 400 MiB * 1/2.
  EXPECT_EQ(scores(score_images, asks("1", "1", "host/app:1")), "b=18 c=0");
  node_of("b", room);
  EXPECT_EQ(scores(score_images, asks("1", "1", "host/app:1")), "-");
}

TEST_F(ScoresTest, TaintsAndNodePreferencesAreScaled) {
  node("a", "'k':'1'", "{'taints':[{'key':'x','effect':'PreferNoSchedule'},{'key':'y','effect':'PreferNoSchedule'}]}");
  node("b", "'k':'2'", "{'taints':[{'key':'x','effect':'PreferNoSchedule'}]}");
  node("c", "");
  EXPECT_EQ(scores(score_taints, pod("")), "a=0 b=50 c=100");
  EXPECT_EQ(scores(score_taints, pod("", "'tolerations':[{'operator':'Exists'}]")), "-");
  const auto prefers = [](int weight, const std::string& value) {
    return "{'weight':" + std::to_string(weight) + ",'preference':{'matchExpressions':[{'key':'k','operator':'In','values':[" + value +
           "]}]}}";
  };
  EXPECT_EQ(scores(score_node_affinity, pod("", "'affinity':{'nodeAffinity':{'preferredDuringSchedulingIgnoredDuringExecution':[" +
                                                    prefers(30, "'1','2'") + "," + prefers(10, "'1'") + "]}}")),
            "a=100 b=75 c=0");
}

TEST_F(ScoresTest, AffinityGoesFromTheLeastToTheMost) {
  node_in("a1", "a");
  node_in("b1", "b");
  node_in("c1", "c");
  put("a1", pod("'app':'liked'"));
  put("b1", pod("'app':'disliked'"));
  const auto term = [](const std::string& app) {
    return "[{'weight':10,'podAffinityTerm':{'topologyKey':'topology.kubernetes.io/zone','labelSelector':{'matchLabels':{'app':'" + app +
           "'}}}}]";
  };
  EXPECT_EQ(scores(score_pod_affinity,
                   pod("", "'affinity':{'podAffinity':{'preferredDuringSchedulingIgnoredDuringExecution':" + term("liked") +
                               "},'podAntiAffinity':{'preferredDuringSchedulingIgnoredDuringExecution':" + term("disliked") + "}}")),
            "a1=100 b1=0 c1=50");
  EXPECT_EQ(scores(score_pod_affinity, pod("")), "-");
}

TEST_F(ScoresTest, SpreadFavoursTheEmptier) {
  node_in("a1", "a");
  node_in("a2", "a");
  node_in("b1", "b");
  node("n", "'kubernetes.io/hostname':'n'");
  put("a1", pod("'app':'w'"));
  put("a1", pod("'app':'w'"));
  put("b1", pod("'app':'w'"));
  const auto soft = [](const std::string& key, int skew) {
    return "'topologySpreadConstraints':[{'maxSkew':" + std::to_string(skew) + ",'topologyKey':'" + key +
           "','whenUnsatisfiable':'ScheduleAnyway','labelSelector':{'matchLabels':{'app':'w'}}}]";
  };
  // Two zones: weight ln 4; 2 and 1 pods: 2.77 and 1.39, rounded 3 and 1; 100 * (3 + 1 - s) / 3. A node without the label has 0.
  EXPECT_EQ(scores(score_spread, pod("'app':'w'", soft("topology.kubernetes.io/zone", 1))), "a1=33 a2=33 b1=100 n=0");
  // Four hosts: ln 6 * 2 = 3.58 + 2, 2, 1.79 + 2, 2: 6, 2, 4, 2.
  EXPECT_EQ(scores(score_spread, pod("'app':'w'", soft("kubernetes.io/hostname", 3))), "a1=33 a2=100 b1=66 n=100");
}

TEST_F(ScoresTest, OfManyNodesOnlySoManyAreLookedAt) {
  for (int i = 0; i < 300; ++i) node_in("n" + std::to_string(i), std::string(1, char('a' + i % 3)));
  const DemandPtr demand = demand_of(pod(""));
  // 50 - 300 / 125 = 48 percent.
  EXPECT_EQ(decide(default_profile(), cluster, *demand, 0).looked_at, 144u);
  // Zones take turns, so that each is among those looked at.
  EXPECT_NE(zone_at(0), zone_at(1));
  EXPECT_NE(zone_at(1), zone_at(2));
  EXPECT_EQ(zone_at(0), zone_at(3));
}

}  // namespace
}  // namespace estiba::scheduler
