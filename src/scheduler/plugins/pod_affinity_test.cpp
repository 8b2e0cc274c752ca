#include "scheduler/testing/cluster_fixture.h"

namespace estiba::scheduler {
namespace {

using testing::object;

const std::string zone = "topology.kubernetes.io/zone", host = "kubernetes.io/hostname";

std::string term(const std::string& key, const std::string& selector, const std::string& more = "") {
  return "{'topologyKey':'" + key + "','labelSelector':" + selector + more + "}";
}
std::string app(const std::string& name) { return "{'matchLabels':{'app':'" + name + "'}}"; }
std::string required(const std::string& kind, const std::string& terms) {
  return "'affinity':{'" + kind + "':{'requiredDuringSchedulingIgnoredDuringExecution':[" + terms + "]}}";
}
std::string near(const std::string& terms) { return required("podAffinity", terms); }
std::string away(const std::string& terms) { return required("podAntiAffinity", terms); }
std::string preferred(const std::string& kind, int weight, const std::string& term) {
  return "'affinity':{'" + kind + "':{'preferredDuringSchedulingIgnoredDuringExecution':[{'weight':" + std::to_string(weight) +
         ",'podAffinityTerm':" + term + "}]}}";
}

struct PodAffinityTest : testing::ClusterFixture {
  void SetUp() override {
    node_in("a1", "a");
    node_in("a2", "a");
    node_in("b1", "b");
    node_in("b2", "b");
  }
};

TEST_F(PodAffinityTest, WantedPodsAreWantedInTheSameDomain) {
  put("b2", pod("'app':'db'"));
  const std::string got = where(pod("", near(term(zone, app("db")))));
  EXPECT_TRUE(got == "b1" || got == "b2") << got;
  EXPECT_EQ(where(pod("", near(term(host, app("db"))))), "b2");
  EXPECT_EQ(where(pod("", near(term(zone, app("web"))))), "0/4 nodes are available: 4 node(s) didn't match pod affinity rules.");
}

TEST_F(PodAffinityTest, ANodeWithoutTheTopologyKeyIsInNoDomain) {
  node("c", "'kubernetes.io/hostname':'c'");
  put("c", pod("'app':'db'"));
  EXPECT_EQ(where(pod("", near(term(zone, app("db"))))), "0/5 nodes are available: 5 node(s) didn't match pod affinity rules.");
  // Away from a pod in no domain is everywhere.
  EXPECT_EQ(where(pod("", "'nodeSelector':{'kubernetes.io/hostname':'c'}," + away(term(zone, app("db"))))), "c");
}

TEST_F(PodAffinityTest, OnePodMatchesAllTermsOrNone) {
  put("a1", pod("'app':'db','tier':'1'"));
  put("b1", pod("'app':'db'"));
  put("b1", pod("'tier':'1'"));
  const std::string both = term(zone, app("db")) + "," + term(host, "{'matchLabels':{'tier':'1'}}");
  EXPECT_EQ(where(pod("", near(both))), "a1");
}

TEST_F(PodAffinityTest, TheFirstOfAGroupMayComeAnywhereWithTheTopology) {
  node("c", "'kubernetes.io/hostname':'c'");
  EXPECT_EQ(where(pod("'app':'g'", "'nodeSelector':{'kubernetes.io/hostname':'c'}," + near(term(zone, app("g"))))),
            "0/5 nodes are available: 1 node(s) didn't match pod affinity rules, 4 node(s) didn't match Pod's node affinity/selector.");
  const std::string first = place(pod("'app':'g'", near(term(zone, app("g")))));
  ASSERT_EQ(first.size(), 2u) << first;
  EXPECT_EQ(place(pod("'app':'g'", near(term(zone, app("g"))))).substr(0, 1), first.substr(0, 1));
  // Another namespace has another group, with a first one of its own.
  EXPECT_EQ(place(pod("'app':'g'", near(term(zone, app("g"))), "y")).size(), 2u);
  // Who does not match its own terms is no first one.
  EXPECT_EQ(where(pod("'app':'other'", near(term(zone, app("h"))))), "0/5 nodes are available: 5 node(s) didn't match pod affinity rules.");
}

TEST_F(PodAffinityTest, UnwantedPodsKeepAway) {
  put("a1", pod("'app':'db'"));
  EXPECT_EQ(where(pod("", away(term(zone, app("db"))))).substr(0, 1), "b");
  put("b1", pod("'app':'db'"));
  EXPECT_EQ(where(pod("", away(term(zone, app("db"))))), "0/4 nodes are available: 4 node(s) didn't match pod anti-affinity rules.");
  const std::string got = where(pod("", away(term(host, app("db")))));
  EXPECT_TRUE(got == "a2" || got == "b2") << got;
}

TEST_F(PodAffinityTest, ThoseWhoAreThereKeepOthersAway) {
  const std::string uid = put("a1", pod("'app':'lonely'", away(term(zone, app("web")))));
  put("b1", pod("'app':'lonely'", away(term(host, app("web")))));
  EXPECT_EQ(where(pod("'app':'web'")), "b2");
  EXPECT_EQ(where(pod("'app':'web'", "'nodeSelector':{'topology.kubernetes.io/zone':'a'}")),
            "0/4 nodes are available: 2 node(s) didn't match Pod's node affinity/selector, 2 node(s) didn't satisfy existing pods "
            "anti-affinity rules.");
  cluster.remove_pod(uid);
  EXPECT_EQ(where(pod("'app':'web'", "'nodeSelector':{'topology.kubernetes.io/zone':'a'}")).substr(0, 1), "a");
}

TEST_F(PodAffinityTest, OneAHostFillsAllHosts) {
  std::set<std::string> used;
  for (int i = 0; i < 4; ++i) used.insert(place(pod("'app':'w'", away(term(host, app("w"))))));
  EXPECT_EQ(used, (std::set<std::string>{"a1", "a2", "b1", "b2"}));
  EXPECT_EQ(where(pod("'app':'w'", away(term(host, app("w"))))),
            "0/4 nodes are available: 4 node(s) didn't match pod anti-affinity rules.");
  cluster.remove_pod("p2");
  EXPECT_EQ(where(pod("'app':'w'", away(term(host, app("w"))))).size(), 2u);
}

struct Spaces {
  const char* what;
  const char* more;  // of the term
  const char* ns;    // of the pod that is there
  bool counts;
};
struct PodAffinityNamespaces : PodAffinityTest, ::testing::WithParamInterface<Spaces> {};
TEST_P(PodAffinityNamespaces, OfTheTermDecide) {
  name_space("x", "'team':'1'");
  name_space("y", "'team':'2'");
  name_space("z", "");
  put("b2", pod("'app':'db'", "", GetParam().ns));
  const std::string got = where(pod("", near(term(host, app("db"), GetParam().more))));
  EXPECT_EQ(got == "b2", GetParam().counts) << got;
}
INSTANTIATE_TEST_SUITE_P(
    Rules, PodAffinityNamespaces,
    ::testing::Values(Spaces{"its own", "", "x", true}, Spaces{"no other", "", "y", false},
                      Spaces{"named", ",'namespaces':['y','z']", "z", true}, Spaces{"named are all", ",'namespaces':['y']", "x", false},
                      Spaces{"selected", ",'namespaceSelector':{'matchLabels':{'team':'2'}}", "y", true},
                      Spaces{"not selected", ",'namespaceSelector':{'matchLabels':{'team':'2'}}", "x", false},
                      Spaces{"all", ",'namespaceSelector':{}", "z", true},
                      Spaces{"named beside selected", ",'namespaces':['z'],'namespaceSelector':{'matchLabels':{'team':'2'}}", "z", true}),
    [](const auto& info) {
      std::string name = info.param.what;
      std::ranges::replace(name, ' ', '_');
      return name;
    });

TEST_F(PodAffinityTest, ANamespacesLabelsCountAsTheyAreNow) {
  name_space("y", "");
  put("b2", pod("'app':'db'", "", "y"));
  put("b1", pod("'app':'own'", away(term(host, "{'matchLabels':{'app':'q'}}", ",'namespaceSelector':{'matchLabels':{'team':'1'}}")), "y"));
  const std::string spec = near(term(host, app("db"), ",'namespaceSelector':{'matchLabels':{'team':'1'}}"));
  EXPECT_NE(where(pod("", spec)), "b2");
  name_space("y", "'team':'1'");
  EXPECT_EQ(where(pod("", spec)), "b2");
  // The terms of those who are there look at the namespace of the one that comes.
  const std::string here = "'nodeSelector':{'kubernetes.io/hostname':'b1'}";
  EXPECT_EQ(where(pod("'app':'q'", here, "x")), "b1");
  name_space("x", "'team':'1'");
  EXPECT_NE(where(pod("'app':'q'", here, "x")), "b1");
}

TEST_F(PodAffinityTest, PreferencesOfBothSidesAddUp) {
  put("b2", pod("'app':'db'"));
  EXPECT_EQ(where(pod("", preferred("podAffinity", 10, term(host, app("db"))))), "b2");
  for (uint64_t turn = 0; turn < 4; ++turn) EXPECT_NE(where(pod("", preferred("podAntiAffinity", 10, term(host, app("db")))), turn), "b2");
  put("a2", pod("'app':'fan'", preferred("podAffinity", 10, term(host, app("star")))));
  EXPECT_EQ(where(pod("'app':'star'")), "a2");
  put("a2", pod("'app':'foe'", preferred("podAntiAffinity", 50, term(host, app("star")))));
  EXPECT_NE(where(pod("'app':'star'")), "a2");
  // Required affinity of those who are there counts as a preference of weight one.
  put("b2", pod("'app':'needs'", near(term(host, app("db")))));
  put("b1", pod(""));
  put("a1", pod(""));
  put("a2", pod(""));
  EXPECT_EQ(where(pod("'app':'db'")), "b2");
}

TEST_F(PodAffinityTest, ANodeThatMovesTakesItsPodsAlong) {
  put("b2", pod("'app':'db'"));
  EXPECT_EQ(where(pod("", near(term(zone, app("db"))))).substr(0, 1), "b");
  node_in("b2", "a");
  const std::string got = where(pod("", near(term(zone, app("db")))));
  EXPECT_TRUE(got == "a1" || got == "a2" || got == "b2") << got;
  cluster.remove_node("b2");
  EXPECT_EQ(where(pod("", near(term(zone, app("db"))))), "0/3 nodes are available: 3 node(s) didn't match pod affinity rules.");
  node_in("b2", "b");
  EXPECT_EQ(where(pod("", near(term(host, app("db"))))), "b2");
}

TEST_F(PodAffinityTest, PodsThatAreExpectedKeepOthersAway) {
  const auto waiting = demand_of(pod("'app':'w'", "'priority':5," + away(term(zone, app("other")))));
  for (const char* name : {"a1", "b1"}) {
    cluster.nominate(waiting, name);
    const std::string here = "'nodeSelector':{'kubernetes.io/hostname':'" + std::string(name) + "'}";
    EXPECT_NE(where(pod("'app':'other'", here)), name);
    EXPECT_EQ(where(pod("'app':'harmless'", here)), name);
    EXPECT_EQ(where(pod("'app':'other'", "'priority':9," + here)), name);
  }
}

TEST_F(PodAffinityTest, CountsAreTheSameAsCountedAnew) {
  // Placements and removals in a fixed disorder, then each answer against a cluster that never saw the way there.
  std::vector<std::pair<std::string, model::ObjectRef>> there;
  const std::vector<std::string> nodes = {"a1", "a2", "b1", "b2"};
  const std::vector<std::string> kinds = {"r", "s", "t"};
  uint64_t random = 7;
  const auto next = [&](size_t n) { return size_t((random = random * 6364136223846793005u + 1442695040888963407u) >> 33) % n; };
  for (int step = 0; step < 400; ++step) {
    if (there.size() > 6 && next(2) == 0) {
      const size_t i = next(there.size());
      cluster.remove_pod(there[i].second.meta().uid);
      there.erase(there.begin() + ptrdiff_t(i));
    } else {
      const std::string spec = next(3) == 0 ? away(term(next(2) == 0 ? zone : host, app(kinds[next(3)]))) : "";
      there.emplace_back(nodes[next(4)], pod("'app':'" + kinds[next(3)] + "'", spec));
      put(there.back().first, there.back().second);
    }
    if (step % 50 == 0) node_in("b2", step % 100 == 0 ? "a" : "b");
    const model::ObjectRef asks =
        pod("'app':'" + kinds[next(3)] + "'", next(2) == 0 ? away(term(host, app(kinds[next(3)]))) : near(term(zone, app(kinds[next(3)]))));
    Cluster anew;
    for (const NodeState* node : cluster.nodes()) anew.set_node(node->node);
    for (const auto& [node, pod] : there) anew.assume(demand_of(pod), node);
    const DemandPtr demand = demand_of(asks);
    const Cycle one(default_profile(), cluster, *demand), other(default_profile(), anew, *demand);
    for (const NodeState* node : cluster.nodes())
      ASSERT_EQ(one.check(*node, nullptr), other.check(*anew.find(node->name), nullptr)) << step << " " << node->name;
  }
}

}  // namespace
}  // namespace estiba::scheduler
