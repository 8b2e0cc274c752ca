#include "scheduler/configuration.h"

#include "base/fake_executor.h"
#include "client/testing/fake_client.h"
#include "scheduler/testing/cluster_fixture.h"

namespace estiba::scheduler {
namespace {

struct ConfigurationTest : testing::ClusterFixture {
  static std::string header() { return "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n"; }
  static Configuration read(const std::string& text) {
    auto made = parse_configuration(header() + text);
    EXPECT_TRUE(made) << text << "\n" << (made ? "" : made.error().message);
    return made ? std::move(*made) : Configuration{};
  }
  /// With one profile that has these members, in YAML's flow style.
  static Profile profile(const std::string& members) { return read("profiles: [{" + members + "}]").profiles[0]; }
  static Profile with_args(const std::string& plugin, const std::string& args) {
    return profile("pluginConfig: [{name: " + plugin + ", args: {" + args + "}}]");
  }
  static std::string refusal(const std::string& text) {
    const auto made = parse_configuration(header() + text);
    return made ? "" : made.error().message;
  }
  static std::string refusal_of_args(const std::string& plugin, const std::string& args) {
    return refusal("profiles: [{pluginConfig: [{name: " + plugin + ", args: {" + args + "}}]}]");
  }
  static std::string filters(const Profile& profile) {
    std::string out;
    for (const FilterPlugin& each : profile.filters) out += (out.empty() ? "" : " ") + std::string(each.name);
    return out;
  }
  static std::string scores(const Profile& profile) {
    std::string out;
    for (const ScorePlugin& each : profile.scores)
      out += (out.empty() ? "" : " ") + std::string(each.name) + "=" + std::to_string(each.weight);
    return out;
  }
  std::string where_by(const Profile& profile, const model::ObjectRef& pod) {
    const DemandPtr demand = demand_of(pod);
    const Decision decision = decide(profile, cluster, *demand, 0);
    return decision.node ? decision.node->name : decision.message;
  }
  model::ObjectRef asks(const std::string& requests, const std::string& labels = "") {
    const std::string name = "p" + std::to_string(++made);
    return testing::object("{'apiVersion':'v1','kind':'Pod','metadata':{'name':'" + name + "','namespace':'x','uid':'" + name +
                           "','labels':{" + labels + "}},'spec':{'containers':[{'name':'c','resources':{'requests':{" + requests +
                           "}}}]}}");
  }
};

TEST_F(ConfigurationTest, WhatIsNotSaidIsAsUsual) {
  const Configuration configuration = read("");
  ASSERT_EQ(configuration.profiles.size(), 1u);
  const Profile& profile = configuration.profiles[0];
  EXPECT_EQ(profile.name, "default-scheduler");
  EXPECT_EQ(filters(profile), filters(default_profile()));
  EXPECT_EQ(scores(profile), scores(default_profile()));
  EXPECT_TRUE(profile.preempts && profile.binds_volumes);
  EXPECT_EQ(configuration.first_rest, std::chrono::milliseconds(50));
  const Configuration more = read(
      "podInitialBackoffSeconds: 2\npodMaxBackoffSeconds: 30\npercentageOfNodesToScore: 70\nparallelism: 4\nleaderElection: {leaderElect: "
      "false}\n"
      "profiles: [{schedulerName: a}, {schedulerName: b, percentageOfNodesToScore: 20}]");
  EXPECT_EQ(more.first_rest, std::chrono::seconds(2));
  EXPECT_EQ(more.longest_rest, std::chrono::seconds(30));
  EXPECT_EQ(more.profiles[0].percent_to_score, 70);
  EXPECT_EQ(more.profiles[1].percent_to_score, 20);
}

TEST_F(ConfigurationTest, PluginsAreTurnedOnAndOffByPoint) {
  EXPECT_EQ(
      scores(profile("plugins: {score: {disabled: [{name: '*'}], enabled: [{name: ImageLocality, weight: 7}, {name: NodeAffinity}]}}")),
      "NodeAffinity=1 ImageLocality=7");
  const Profile few = profile(
      "plugins: {multiPoint: {disabled: [{name: '*'}], enabled: [{name: PrioritySort}, {name: DefaultBinder}, {name: NodeResourcesFit, "
      "weight: "
      "3}]}}");
  EXPECT_EQ(filters(few), "NodeResourcesFit");
  EXPECT_EQ(scores(few), "NodeResourcesFit=3");
  EXPECT_FALSE(few.preempts || few.binds_volumes);
  const Profile half =
      profile("plugins: {preFilter: {disabled: [{name: NodePorts}]}, filter: {disabled: [{name: TaintToleration}, {name: Other}]}}");
  EXPECT_EQ(filters(half).find("NodePorts"), std::string::npos);
  EXPECT_EQ(filters(half).find("TaintToleration"), std::string::npos);
  EXPECT_NE(scores(half).find("TaintToleration=3"), std::string::npos);
}

TEST_F(ConfigurationTest, FaultsAreNamedByTheirFields) {
  const std::pair<std::string, std::string> rows[] = {
      {"surprise: 1", "surprise: unknown field"},
      {"profiles: [{pluginConfig: [{name: NodeResourcesFit, args: {scoringStrategy: {kind: x}}}]}]",
       "profiles[0].pluginConfig[0].args.scoringStrategy.kind: unknown field"},
      {"profiles: [{schedulerName: ''}]", "profiles[0].schedulerName: Required value"},
      {"profiles: [{schedulerName: a}, {}]", "profiles[1].schedulerName: Required value"},
      {"profiles: [{schedulerName: a}, {schedulerName: a}]", "profiles[1].schedulerName: Duplicate value: \"a\""},
      {"percentageOfNodesToScore: 101", "percentageOfNodesToScore: Invalid value: 101: not in valid range [0-100]"},
      {"podInitialBackoffSeconds: 0", "podInitialBackoffSeconds: Invalid value: 0: must be greater than 0"},
      {"podInitialBackoffSeconds: 20",
       "podMaxBackoffSeconds: Invalid value: 10: must be greater than or equal to podInitialBackoffSeconds"},
      {"extenders: [{urlPrefix: x}]", "extenders: Forbidden"},
      {"profiles: [{plugins: {bind: {disabled: [{name: '*'}]}}}]", "profiles[0].plugins.bind: Required value"},
      {"profiles: [{plugins: {score: {enabled: [{name: NodePorts}]}}}]",
       "profiles[0].plugins.score.enabled[0].name: Unsupported value: \"NodePorts\": supported values: \"TaintToleration\""},
      {"profiles: [{plugins: {score: {enabled: [{name: ImageLocality}, {name: ImageLocality}]}}}]",
       "profiles[0].plugins.score.enabled[1].name: Duplicate value: \"ImageLocality\""},
      {"profiles: [{plugins: {multiPoint: {enabled: [{name: Coscheduling}]}}}]",
       "profiles[0].plugins.multiPoint.enabled[0].name: Unsupported value: \"Coscheduling\": supported values: \"SchedulingGates\", "
       "\"PrioritySort\", "},
      {"profiles: [{plugins: {score: {enabled: [{name: ImageLocality, weight: -1}]}}}]",
       "profiles[0].plugins.score.enabled[0].weight: Invalid value: -1"},
      {"profiles: [{pluginConfig: [{name: NodePorts, args: {}}]}]", "profiles[0].pluginConfig[0].name: Unsupported value: \"NodePorts\""},
      {"profiles: [{pluginConfig: [{name: InterPodAffinity, args: {kind: NodeAffinityArgs}}]}]",
       "profiles[0].pluginConfig[0].args: Invalid value: has to be InterPodAffinityArgs"},
      {"profiles: {}", "json: cannot unmarshal object into Go struct field KubeSchedulerConfiguration.profiles of type"},
  };
  for (const auto& [text, told] : rows) EXPECT_NE(refusal(text).find(told), std::string::npos) << text << "\n" << refusal(text);
  const auto other = parse_configuration("kind: Pod\napiVersion: v1");
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().message,
            "it has apiVersion \"v1\" and kind \"Pod\"; it has to be a KubeSchedulerConfiguration of kubescheduler.config.k8s.io/v1");
}

TEST_F(ConfigurationTest, FaultsOfArguments) {
  const std::tuple<std::string, std::string, std::string> rows[] = {
      {"NodeResourcesFit", "scoringStrategy: {type: Best}", "args.scoringStrategy.type: Unsupported value: \"Best\""},
      {"NodeResourcesFit", "scoringStrategy: {resources: [{name: cpu, weight: 101}]}",
       "args.scoringStrategy.resources[0].weight: Invalid value: 101: resource weight of cpu not in valid range (0, 100]"},
      {"NodeResourcesFit", "scoringStrategy: {type: RequestedToCapacityRatio}",
       "args.scoringStrategy.requestedToCapacityRatio: Required value"},
      {"NodeResourcesFit",
       "scoringStrategy: {type: RequestedToCapacityRatio, requestedToCapacityRatio: {shape: [{utilization: 5, score: 11}, {utilization: 5, "
       "score: 0}]}}",
       "args.scoringStrategy.requestedToCapacityRatio.shape[0].score: Invalid value: 11: not in valid range [0, 10]"},
      {"NodeResourcesFit", "ignoredResourceGroups: [a/b]", "args.ignoredResourceGroups[0]: Invalid value: \"a/b\""},
      {"InterPodAffinity", "hardPodAffinityWeight: 101", "args.hardPodAffinityWeight: Invalid value: 101: not in valid range [0, 100]"},
      {"PodTopologySpread", "defaultConstraints: [{maxSkew: 1, topologyKey: z, whenUnsatisfiable: ScheduleAnyway}]",
       "args.defaultingType: Invalid value: \"System\": when .defaultConstraints are not empty"},
      {"PodTopologySpread",
       "defaultingType: List, defaultConstraints: [{maxSkew: 0, topologyKey: z, whenUnsatisfiable: Maybe, labelSelector: {}}]",
       "args.defaultConstraints[0].labelSelector: Forbidden"},
      {"NodeAffinity",
       "addedAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: "
       "Is}]}]}}",
       "matchExpressions[0].operator: Unsupported value: \"Is\""},
      {"NodeAffinity",
       "addedAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchFields: [{key: spec.x, operator: In, "
       "values: [a]}]}]}}",
       "matchFields[0].key: Unsupported value: \"spec.x\": supported values: \"metadata.name\""},
      {"NodeAffinity",
       "addedAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 1, preference: {matchExpressions: [{key: a, operator: "
       "Gt, values: [x]}]}}]}",
       "matchExpressions[0].values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must be an integer"},
      {"PodTopologySpread",
       "defaultingType: List, defaultConstraints: [{maxSkew: 1, topologyKey: z, whenUnsatisfiable: ScheduleAnyway, matchLabelKeys: [a]}]",
       "args.defaultConstraints[0].matchLabelKeys: Forbidden"},
      {"PodTopologySpread",
       "defaultingType: List, defaultConstraints: [{maxSkew: 1, topologyKey: z, whenUnsatisfiable: ScheduleAnyway, minDomains: 2}]",
       "args.defaultConstraints[0].minDomains: Invalid value: 2: can only use minDomains if whenUnsatisfiable=DoNotSchedule"},
      {"PodTopologySpread",
       "defaultingType: List, defaultConstraints: [{maxSkew: 1, topologyKey: z, whenUnsatisfiable: DoNotSchedule, nodeTaintsPolicy: "
       "Never}]",
       "args.defaultConstraints[0].nodeTaintsPolicy: "},
      {"DefaultPreemption", "minCandidateNodesPercentage: 0, minCandidateNodesAbsolute: 0",
       "args.minCandidateNodesPercentage: Invalid value: 0"},
      {"VolumeBinding", "bindTimeoutSeconds: -1", "args.bindTimeoutSeconds: Invalid value: -1"},
  };
  for (const auto& [plugin, args, told] : rows)
    EXPECT_NE(refusal_of_args(plugin, args).find("profiles[0].pluginConfig[0]."), std::string::npos) << args << "\n"
                                                                                                     << refusal_of_args(plugin, args);
  for (const auto& [plugin, args, told] : rows)
    EXPECT_NE(refusal_of_args(plugin, args).find(told), std::string::npos) << args << "\n" << refusal_of_args(plugin, args);
}

TEST_F(ConfigurationTest, StrategiesOfResources) {
  node("full", "");
  node("empty", "");
  put("full", asks("'cpu':'3','memory':'6Gi'"));
  const auto pod = asks("'cpu':'500m','memory':'1Gi'");
  EXPECT_EQ(where_by(default_profile(), pod), "empty");
  EXPECT_EQ(where_by(with_args("NodeResourcesFit", "scoringStrategy: {type: MostAllocated}"), pod), "full");
  const std::string ratio = "scoringStrategy: {type: RequestedToCapacityRatio, requestedToCapacityRatio: {shape: [{utilization: 0, score: ";
  EXPECT_EQ(where_by(with_args("NodeResourcesFit", ratio + "0}, {utilization: 100, score: 10}]}}"), pod), "full");
  EXPECT_EQ(where_by(with_args("NodeResourcesFit", ratio + "10}, {utilization: 100, score: 0}]}}"), pod), "empty");
}

TEST_F(ConfigurationTest, ArgumentsOfPreemptionAndVolumes) {
  EXPECT_EQ(default_profile().args.volume_wait, std::chrono::minutes(10));
  EXPECT_EQ(with_args("VolumeBinding", "bindTimeoutSeconds: 5").args.volume_wait, std::chrono::seconds(5));
  const PreemptionArgs usual = with_args("DefaultPreemption", "").args.preemption;
  EXPECT_EQ(std::pair(usual.least_percent, usual.least), std::pair(int64_t(10), int64_t(100)));
  const PreemptionArgs given =
      with_args("DefaultPreemption", "minCandidateNodesPercentage: 25, minCandidateNodesAbsolute: 0").args.preemption;
  EXPECT_EQ(std::pair(given.least_percent, given.least), std::pair(int64_t(25), int64_t(0)));
}

TEST_F(ConfigurationTest, IgnoredResourcesNeedNotBeThere) {
  node("a", "");
  const auto pod = asks("'example.com/a':'1'");
  EXPECT_EQ(where_by(default_profile(), pod), "0/1 nodes are available: 1 Insufficient example.com/a.");
  EXPECT_EQ(where_by(with_args("NodeResourcesFit", "ignoredResources: [example.com/a]"), pod), "a");
  EXPECT_EQ(where_by(with_args("NodeResourcesFit", "ignoredResourceGroups: [example.com]"), pod), "a");
  EXPECT_EQ(where_by(with_args("NodeResourcesFit", "ignoredResources: [hugepages-2Mi]"), asks("'hugepages-2Mi':'2Mi'")),
            "0/1 nodes are available: 1 Insufficient hugepages-2Mi.");
}

TEST_F(ConfigurationTest, AddedAffinityHoldsForAll) {
  node("a", "'pool':'x'");
  node("b", "'pool':'z'");
  const auto added = [](const std::string& terms) { return with_args("NodeAffinity", "addedAffinity: {" + terms + "}"); };
  const std::string in_z = "matchExpressions: [{key: pool, operator: In, values: [z]}]";
  const Profile required = added("requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{" + in_z + "}]}");
  for (int turn = 0; turn < 2; ++turn) EXPECT_EQ(where_by(required, asks("")), "b");
  EXPECT_EQ(where_by(required, pod("", "'nodeSelector':{'pool':'x'}")),
            "0/2 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, 1 node(s) didn't match scheduler-enforced node "
            "affinity.");
  EXPECT_EQ(where_by(added("preferredDuringSchedulingIgnoredDuringExecution: [{weight: 1, preference: {" + in_z + "}}]"), asks("")), "b");
}

TEST_F(ConfigurationTest, DefaultConstraintsSpreadTheirWorkloads) {
  struct Services {
    FakeExecutor executor;
    client::testing::FakeClient server{executor};
    client::Informers informers{server};
  } fake;
  Listers& listers = cluster.listers;
  listers.services = &fake.informers.of(client::services);
  listers.replication_controllers = &fake.informers.of({"", "v1", "replicationcontrollers"});
  listers.replica_sets = &fake.informers.of(client::replica_sets);
  listers.stateful_sets = &fake.informers.of({"apps", "v1", "statefulsets"});
  fake.server.add(client::services, "x",
                  R"({"apiVersion":"v1","kind":"Service","metadata":{"name":"s","namespace":"x"},"spec":{"selector":{"app":"w"}}})");
  fake.executor.run();
  node("a", "'rack':'1'");
  node("b", "'rack':'2'");
  put("a", asks("", "'app':'w'"));
  const std::string hard = "defaultConstraints: [{maxSkew: 1, topologyKey: rack, whenUnsatisfiable: DoNotSchedule}]";
  const Profile spread = with_args("PodTopologySpread", "defaultingType: List, " + hard);
  for (int turn = 0; turn < 2; ++turn) EXPECT_EQ(where_by(spread, asks("", "'app':'w'")), "b");
  put("b", asks("'cpu':'3'", "'app':'w'"));
  put("b", asks("", "'app':'w'"));
  EXPECT_EQ(where_by(spread, asks("", "'app':'w'")), "a");
}

TEST_F(ConfigurationTest, WeightOfAffinityThatIsRequired) {
  node("a", "'rack':'1'");
  node("b", "'rack':'2'");
  put("b", pod("'app':'fan'",
               "'affinity':{'podAffinity':{'requiredDuringSchedulingIgnoredDuringExecution':[{'topologyKey':'rack','labelSelector':{'"
               "matchLabels':{"
               "'app':'star'}}}]}}"));
  put("a", pod("'app':'q'",
               "'affinity':{'podAffinity':{'preferredDuringSchedulingIgnoredDuringExecution':[{'weight':3,'podAffinityTerm':{'topologyKey':"
               "'rack',"
               "'labelSelector':{'matchLabels':{'app':'star'}}}}]}}"));
  const auto star = pod("'app':'star'");
  EXPECT_EQ(where_by(with_args("InterPodAffinity", "hardPodAffinityWeight: 1"), star), "a");
  EXPECT_EQ(where_by(with_args("InterPodAffinity", "hardPodAffinityWeight: 5"), star), "b");
}

}  // namespace
}  // namespace estiba::scheduler
