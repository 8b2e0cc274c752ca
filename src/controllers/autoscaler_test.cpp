#include "controllers/autoscaler_limits.h"
#include "controllers/autoscaler_metrics.h"
#include "controllers/kinds.h"
#include "controllers/table.h"
#include "controllers/testing/cluster.h"
#include "model/types/apps_v1.h"

namespace estiba::controllers {
namespace {

using namespace std::chrono_literals;
using model::ObjectRef;
using namespace model::autoscaling_v2;

constexpr client::Resource autoscalers{"autoscaling", "v2", "horizontalpodautoscalers"};
constexpr client::Resource pod_metrics{"metrics.k8s.io", "v1beta1", "pods"};

// --- how many replicas a metric asks for -------------------------------------------------------------------------------

enum class State : uint8_t { ready, unready, starting, pending, failed, ending };

struct Row {
  const char* about;
  int32_t current;
  std::vector<State> pods;
  std::vector<int64_t> used;  // in thousandths of a processor; -1: none is known. Each pod asks for 1000.
  int32_t target;             // per cent
  int32_t replicas, utilization;
};

ObjectRef make_pod(int number, State state, WallTime now) {
  const std::string phase = state == State::pending ? "Pending" : state == State::failed ? "Failed" : "Running";
  const bool ready = state == State::ready || state == State::ending;
  // One that is not ready has been ready before; one that starts never was.
  const WallTime started = state == State::starting ? now - 10s : now - 1h;
  const WallTime turned = state == State::starting ? now - 10s : state == State::unready ? started + 1s : now - 30min;
  return ObjectRef{*model::Object::parse(
                       R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p)" + std::to_string(number) + R"(","labels":{"app":"web"})" +
                       (state == State::ending ? R"(,"deletionTimestamp":"2026-01-01T00:00:00Z")" : "") +
                       R"(},"spec":{"containers":[{"name":"c","resources":{"requests":{"cpu":"1"}}}]},"status":{"phase":")" + phase +
                       R"(","startTime":")" + format_rfc3339(started) + R"(","conditions":[{"type":"Ready","status":")" +
                       (ready ? "True" : "False") + R"(","lastTransitionTime":")" + format_rfc3339(turned) + R"("}]}})"),
                   1};
}

TEST(AutoscalerReplicas, AsKubernetesCountsThem) {
  using enum State;
  const Row rows[] = {
      {"scale up", 3, {ready, ready, ready}, {300, 500, 700}, 30, 5, 50},
      {"one that starts uses nothing", 3, {ready, ready, starting}, {500, 700, 300}, 30, 4, 60},
      {"two that start turn nothing around", 3, {ready, starting, starting}, {400, 500, 700}, 30, 3, 40},
      {"pending pods use nothing", 3, {ready, pending, pending}, {400, 500, 700}, 30, 3, 40},
      {"failed pods are not there", 2, {ready, ready, failed, failed}, {500, 700, -1, -1}, 50, 3, 60},
      {"pods that end are not there", 2, {ready, ready, ending}, {500, 700, 900}, 50, 3, 60},
      {"scale down", 5, {ready, ready, ready, ready, ready}, {100, 300, 500, 250, 250}, 50, 3, 28},
      {"within a tenth", 3, {ready, ready, ready}, {1010, 1030, 1020}, 100, 3, 102},
      {"missing when it would shrink: they use all they ask for", 3, {ready, ready, ready}, {100, 100, -1}, 50, 3, 10},
      {"missing when it would grow: they use nothing", 3, {ready, ready, ready}, {700, 700, -1}, 50, 3, 70},
      {"missing, and it grows all the same", 2, {ready, ready, ready}, {1500, 1500, -1}, 50, 6, 150},
      {"once ready, then not: its use counts no more in its first half minute", 2, {ready, unready}, {600, 600}, 50, 2, 60},
  };
  const WallTime now = *parse_rfc3339("2026-11-29T12:00:00Z");
  for (const Row& row : rows) {
    PodSample sample{.resource = "cpu", .current = row.current, .now = now};
    for (size_t i = 0; i < row.pods.size(); ++i) {
      sample.pods.push_back(make_pod(int(i), row.pods[i], now));
      if (row.used[i] >= 0) sample.metrics["p" + std::to_string(i)] = {row.used[i], now, 10s};
    }
    const auto proposal = replicas_for_utilization(sample, row.target, "");
    ASSERT_TRUE(proposal) << row.about << ": " << proposal.error().message;
    EXPECT_EQ(proposal->replicas, row.replicas) << row.about;
    EXPECT_EQ(proposal->utilization, row.utilization) << row.about;
  }
}

TEST(AutoscalerReplicas, WithoutMetricsOrRequestsThereIsNoAnswer) {
  const WallTime now = *parse_rfc3339("2026-11-29T12:00:00Z");
  PodSample sample{.resource = "cpu", .current = 1, .now = now};
  EXPECT_EQ(replicas_for_utilization(sample, 50, "").error().message, "no pods returned by selector while calculating replica count");
  sample.pods = {make_pod(0, State::ready, now)};
  EXPECT_EQ(replicas_for_utilization(sample, 50, "").error().message, "did not receive metrics for targeted pods (pods might be unready)");
  sample.metrics["p0"] = {100, now, 10s};
  EXPECT_EQ(replicas_for_utilization(sample, 50, "other").error().message, "container other not found in Pod p0");
  sample.resource = "memory";
  EXPECT_EQ(replicas_for_utilization(sample, 50, "").error().message, "missing request for memory in container c of Pod p0");
}

TEST(AutoscalerReplicas, ValuesOfAllPodsTogether) {
  const WallTime now = *parse_rfc3339("2026-11-29T12:00:00Z");
  const std::vector<ObjectRef> pods{make_pod(0, State::ready, now), make_pod(1, State::ready, now), make_pod(2, State::unready, now)};
  EXPECT_EQ(replicas_for_value(pods, 3, 20'000, 10'000, {})->replicas, 4) << "twice the target by two that are ready";
  EXPECT_EQ(replicas_for_value(pods, 3, 10'500, 10'000, {})->replicas, 3);
  EXPECT_EQ(replicas_for_value(pods, 0, 25'000, 10'000, {})->replicas, 3);
  const Proposal each = replicas_for_value_per_pod(3, 8'600, 2'000, {});
  EXPECT_EQ(each.replicas, 5);
  EXPECT_EQ(each.usage, 2'867);
  EXPECT_EQ(replicas_for_value_per_pod(3, 6'300, 2'000, {}).replicas, 3);
  EXPECT_EQ(replicas_for_value_per_pod(3, 6'300, 2'000, {.up = 0.01}).replicas, 4) << "a smaller tolerance";
}

// --- how fast they follow ----------------------------------------------------------------------------------------------

struct LimitsTest : ::testing::Test {
  HorizontalPodAutoscalerSpec spec{.minReplicas = 2, .maxReplicas = 20};
  AutoscalerMemory memory;
  WallTime now = *parse_rfc3339("2026-11-29T12:00:00Z");

  void behave(const std::string& json) { spec.behavior.ensure() = *model::decode<HorizontalPodAutoscalerBehavior>(json); }
  /// The replicas and why, "6 ScaleUpLimit".
  std::string step(int32_t current, int32_t proposed) {
    const Limited limited = limit_replicas(spec, memory, current, proposed, now);
    able = limited.able_reason;
    if (spec.behavior && limited.replicas != current) memory.changed(complete_behavior(*spec.behavior), current, limited.replicas, now);
    return std::to_string(limited.replicas) + (limited.is_limited ? " " + limited.limited_reason : "");
  }
  std::string able;
};

TEST_F(LimitsTest, WithoutABehavior) {
  EXPECT_EQ(step(3, 15), "6 ScaleUpLimit") << "at most twice as many";
  EXPECT_EQ(step(15, 25), "20 TooManyReplicas");
  memory = {};
  EXPECT_EQ(step(5, 1), "2 TooFewReplicas");
  memory = {};
  memory.begin(5, now);
  EXPECT_EQ(step(5, 3), "5");
  EXPECT_EQ(able, "ScaleDownStabilized");
  now += 4min;
  EXPECT_EQ(step(5, 3), "5");
  now += 61s;
  EXPECT_EQ(step(5, 3), "3") << "five minutes after the higher recommendation";
  EXPECT_EQ(able, "ReadyForNewScale");
}

TEST_F(LimitsTest, PoliciesLimitWhatChangesInTheirPeriod) {
  behave(
      R"({"scaleUp":{"policies":[{"type":"Pods","value":2,"periodSeconds":60},{"type":"Percent","value":10,"periodSeconds":60}]},"scaleDown":{"stabilizationWindowSeconds":0,"policies":[{"type":"Pods","value":1,"periodSeconds":60},{"type":"Percent","value":50,"periodSeconds":60}],"selectPolicy":"Min"}})");
  EXPECT_EQ(step(4, 12), "6 ScaleUpLimit");
  now += 15s;
  EXPECT_EQ(step(6, 12), "6 ScaleUpLimit") << "all of the minute's are there";
  now += 46s;
  EXPECT_EQ(step(6, 12), "8 ScaleUpLimit");
  now += 2min;
  EXPECT_EQ(step(8, 2), "7 ScaleDownLimit");
  now += 15s;
  EXPECT_EQ(step(7, 2), "7 ScaleDownLimit");
  now += 46s;
  EXPECT_EQ(step(7, 2), "6 ScaleDownLimit");
}

TEST_F(LimitsTest, WindowsAndDisabledDirections) {
  behave(R"({"scaleUp":{"stabilizationWindowSeconds":60},"scaleDown":{"selectPolicy":"Disabled"}})");
  memory.begin(4, now);
  EXPECT_EQ(step(4, 8), "4");
  EXPECT_EQ(able, "ScaleUpStabilized");
  now += 61s;
  EXPECT_EQ(step(4, 8), "8") << "eight has been asked for a whole minute";
  now += 10min;
  EXPECT_EQ(step(8, 2), "8 ScaleDownLimit");
}

// --- the controller ----------------------------------------------------------------------------------------------------

struct FakeExtensions final : ExtensionApi {
  std::map<std::string, std::string> answers;
  std::string asked;
  Task<Result<std::string>> get(std::string path, std::vector<std::pair<std::string, std::string>> query) override {
    asked = path;
    for (const auto& [key, value] : query) asked += " " + key + "=" + value;
    const auto found = answers.find(path);
    if (found == answers.end()) co_return fail(Code::not_found, "nobody serves it");
    co_return found->second;
  }
};

struct AutoscalerTest : ControllerTest {
  FakeExtensions extensions;
  AutoscalerTest() { options.extensions = &extensions; }

  void add_deployment(int replicas, const std::string& name = "web") {
    server.add(client::deployments, "x",
               R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":")" + name + R"("},"spec":{"replicas":)" +
                   std::to_string(replicas) + R"(,"selector":{"matchLabels":{"app":"web"}}},"status":{"replicas":)" +
                   std::to_string(replicas) + "}}");
  }
  void add_pod(const std::string& name, int used) {
    const std::string started = format_rfc3339(executor.wall_now() - 1h);
    server.add(
        client::pods, "x",
        R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":")" + name +
            R"(","labels":{"app":"web"}},"spec":{"containers":[{"name":"c","resources":{"requests":{"cpu":"100m"}}}]},"status":{"phase":"Running","startTime":")" +
            started + R"(","conditions":[{"type":"Ready","status":"True","lastTransitionTime":")" + started + R"("}]}})");
    use(name, used);
  }
  void use(const std::string& name, int used) {
    const std::string body =
        R"("timestamp":")" + now() + R"(","window":"10s","containers":[{"name":"c","usage":{"cpu":")" + std::to_string(used) + R"(m"}}])";
    if (server.find(pod_metrics, "x", name)) server.merge(pod_metrics, "x", name, "{" + body + "}");
    else
      server.add(pod_metrics, "x",
                 R"({"apiVersion":"metrics.k8s.io/v1beta1","kind":"PodMetrics","metadata":{"name":")" + name + "\"}," + body + "}");
  }
  /// `kind` of the target: "apiVersion/Kind".
  void add_autoscaler(const std::string& metrics, const std::string& more = "", const std::string& name = "h",
                      const std::string& kind = "apps/v1/Deployment") {
    const size_t slash = kind.rfind('/');
    server.add(autoscalers, "x",
               R"({"apiVersion":"autoscaling/v2","kind":"HorizontalPodAutoscaler","metadata":{"name":")" + name +
                   R"("},"spec":{"scaleTargetRef":{"apiVersion":")" + kind.substr(0, slash) + R"(","kind":")" + kind.substr(slash + 1) +
                   R"(","name":"web"},"minReplicas":1,"maxReplicas":10)" + (metrics.empty() ? "" : R"(,"metrics":[)" + metrics + "]") +
                   more + "}}");
    executor.run();
  }
  int replicas() { return *server.find(client::deployments, "x", "web").as<model::apps_v1::Deployment>().spec.replicas; }
  const HorizontalPodAutoscalerStatus& status(const std::string& name = "h") {
    last = server.find(autoscalers, "x", name);
    return last.as<HorizontalPodAutoscaler>().status;
  }
  /// "status reason" of a condition.
  std::string condition(std::string_view type, const std::string& name = "h") {
    for (const auto& each : status(name).conditions)
      if (each.type == type) return each.status + " " + each.reason;
    return "";
  }
  std::string message(std::string_view type) {
    for (const auto& each : status().conditions)
      if (each.type == type) return each.message;
    return "";
  }
  ObjectRef last;
};

constexpr const char* half_of_cpu =
    R"({"type":"Resource","resource":{"name":"cpu","target":{"type":"Utilization","averageUtilization":50}}})";

TEST_F(AutoscalerTest, ADeploymentFollowsWhatItsPodsUse) {
  add_deployment(2);
  add_pod("a", 100);
  add_pod("b", 100);
  start({make_autoscaler});
  add_autoscaler(half_of_cpu);
  EXPECT_EQ(replicas(), 4);
  EXPECT_EQ(condition("AbleToScale"), "True SucceededRescale");
  EXPECT_EQ(condition("ScalingActive"), "True ValidMetricFound");
  EXPECT_EQ(condition("ScalingLimited"), "False DesiredWithinRange");
  EXPECT_EQ(status().desiredReplicas, 4);
  EXPECT_EQ(status().currentReplicas, 2);
  EXPECT_EQ(status().currentMetrics[0].resource->current.averageUtilization, 100);
  EXPECT_EQ(status().currentMetrics[0].resource->current.averageValue, "100m");
  EXPECT_EQ(status().lastScaleTime, now());
  add_pod("c", 10);
  add_pod("d", 10);
  use("a", 10);
  use("b", 10);
  executor.advance(4min);
  EXPECT_EQ(replicas(), 4) << "what was asked for in the last five minutes stays";
  EXPECT_EQ(condition("AbleToScale"), "True ScaleDownStabilized");
  executor.advance(90s);
  EXPECT_EQ(replicas(), 1);
  const int64_t revision = server.revision();
  executor.advance(10min);
  EXPECT_EQ(replicas(), 1);
  EXPECT_LE(server.revision(), revision + 4) << "nothing new is not written";
}

TEST_F(AutoscalerTest, LimitsHoldWithoutMetrics) {
  add_deployment(12);
  start({make_autoscaler});
  add_autoscaler(half_of_cpu);
  EXPECT_EQ(replicas(), 10);
  executor.advance(15s);
  EXPECT_EQ(replicas(), 10);
  EXPECT_EQ(condition("ScalingActive"), "False FailedGetResourceMetric");
  server.merge(client::deployments, "x", "web", R"({"spec":{"replicas":0}})");
  executor.advance(15s);
  EXPECT_EQ(replicas(), 0);
  EXPECT_EQ(condition("ScalingActive"), "False ScalingDisabled");
  server.erase(client::deployments, "x", "web");
  executor.advance(15s);
  EXPECT_EQ(condition("AbleToScale"), "False FailedGetScale");
}

TEST_F(AutoscalerTest, WhoNamesNoMetricMeansTheProcessor) {
  add_deployment(1);
  add_pod("a", 160);
  start({make_autoscaler});
  add_autoscaler("");
  EXPECT_EQ(replicas(), 2);
}

TEST_F(AutoscalerTest, ExtensionMetrics) {
  add_deployment(2);
  add_pod("a", 10);
  add_pod("b", 10);
  extensions.answers = {
      {"/apis/custom.metrics.k8s.io/v1beta1/namespaces/x/pods/*/requests",
       R"({"items":[{"describedObject":{"name":"a"},"value":"30","timestamp":"2026-01-01T00:00:00Z"},{"describedObject":{"name":"b"},"value":"30"}]})"},
      {"/apis/custom.metrics.k8s.io/v1beta2/namespaces/x/deployments.apps/web/queue", R"({"items":[{"value":"50"}]})"},
      {"/apis/external.metrics.k8s.io/v1beta1/namespaces/x/jobs", R"({"items":[{"value":"30"},{"value":"40"}]})"}};
  start({make_autoscaler});
  const std::string pods = R"({"type":"Pods","pods":{"metric":{"name":"requests"},"target":{"type":"AverageValue","averageValue":"20"}}})";
  add_autoscaler(pods);
  EXPECT_EQ(replicas(), 3);
  EXPECT_EQ(extensions.asked, "/apis/custom.metrics.k8s.io/v1beta1/namespaces/x/pods/*/requests labelSelector=app=web");
  EXPECT_EQ(status().currentMetrics[0].pods->current.averageValue, "30");
  const std::string object =
      R"({"type":"Object","object":{"describedObject":{"apiVersion":"apps/v1","kind":"Deployment","name":"web"},"metric":{"name":"queue"},"target":{"type":"Value","value":"20"}}})";
  server.merge(autoscalers, "x", "h", R"({"spec":{"metrics":[)" + object + "]}}");
  executor.run();
  EXPECT_EQ(replicas(), 5);
  const std::string external =
      R"({"type":"External","external":{"metric":{"name":"jobs","selector":{"matchLabels":{"q":"a"}}},"target":{"type":"AverageValue","averageValue":"10"}}})";
  server.merge(autoscalers, "x", "h", R"({"spec":{"metrics":[)" + pods + "," + external + "]}}");
  executor.run();
  EXPECT_EQ(replicas(), 7) << "the most that any asks for";
  EXPECT_EQ(extensions.asked, "/apis/external.metrics.k8s.io/v1beta1/namespaces/x/jobs labelSelector=q=a");
  // One that is not there keeps the target from shrinking.
  extensions.answers.erase("/apis/external.metrics.k8s.io/v1beta1/namespaces/x/jobs");
  executor.advance(10min);
  EXPECT_EQ(replicas(), 7);
  EXPECT_EQ(condition("ScalingActive"), "False FailedGetExternalMetric");
}

TEST_F(AutoscalerTest, AQueueThatIsEmptyNeedsNobody) {
  const auto waiting = [&](const std::string& jobs) {
    extensions.answers["/apis/external.metrics.k8s.io/v1beta1/namespaces/x/jobs"] = R"({"items":[{"value":")" + jobs + "\"}]}";
  };
  add_deployment(1);
  add_pod("a", 10);
  waiting("0");
  start({make_autoscaler});
  add_autoscaler(R"({"type":"External","external":{"metric":{"name":"jobs"},"target":{"type":"AverageValue","averageValue":"10"}}})",
                 R"(,"behavior":{"scaleDown":{"stabilizationWindowSeconds":0}})");
  EXPECT_EQ(replicas(), 1);
  server.merge(autoscalers, "x", "h", R"({"spec":{"minReplicas":0}})");
  executor.run();
  EXPECT_EQ(replicas(), 0);
  EXPECT_EQ(condition("ScaledToZero"), "True ScaledToZero");
  executor.advance(15s);
  EXPECT_EQ(replicas(), 0);
  EXPECT_EQ(condition("ScalingActive"), "True ValidMetricFound");
  waiting("25");
  executor.advance(15s);
  EXPECT_EQ(replicas(), 3);
  EXPECT_EQ(condition("ScaledToZero"), "False NotScaledToZero");
  // By hand it is switched off.
  server.merge(client::deployments, "x", "web", R"({"spec":{"replicas":0}})");
  executor.advance(15s);
  EXPECT_EQ(replicas(), 0);
  EXPECT_EQ(condition("ScalingActive"), "False ScalingDisabled");
}

TEST_F(AutoscalerTest, ALargerMinimumWakesWhatWasScaledToZero) {
  add_deployment(1);
  add_pod("a", 10);
  extensions.answers["/apis/external.metrics.k8s.io/v1beta1/namespaces/x/jobs"] = R"({"items":[{"value":"0"}]})";
  start({make_autoscaler});
  add_autoscaler(R"({"type":"External","external":{"metric":{"name":"jobs"},"target":{"type":"AverageValue","averageValue":"10"}}})",
                 R"(,"behavior":{"scaleDown":{"stabilizationWindowSeconds":0}})");
  server.merge(autoscalers, "x", "h", R"({"spec":{"minReplicas":0}})");
  executor.run();
  EXPECT_EQ(replicas(), 0);
  server.merge(autoscalers, "x", "h", R"({"spec":{"minReplicas":2}})");
  executor.run();
  EXPECT_EQ(replicas(), 2);
}

TEST_F(AutoscalerTest, PodsOfTwoAutoscalersFollowNone) {
  add_deployment(1);
  add_pod("a", 10);
  start({make_autoscaler});
  add_autoscaler(half_of_cpu);
  add_autoscaler(half_of_cpu, "", "other");
  EXPECT_EQ(condition("ScalingActive", "other"), "False AmbiguousSelector");
  executor.advance(15s);
  EXPECT_EQ(condition("ScalingActive"), "False AmbiguousSelector");
  server.erase(autoscalers, "x", "other");
  executor.advance(15s);
  EXPECT_EQ(condition("ScalingActive"), "True ValidMetricFound");
}

TEST_F(AutoscalerTest, TheSelectorOfACustomKindIsItsScalesText) {
  server.add(
      custom_resource_definitions, "",
      R"({"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"farms.example.org"},"spec":{"group":"example.org","scope":"Namespaced","names":{"plural":"farms","singular":"farm","kind":"Farm","listKind":"FarmList"},"versions":[{"name":"v1","served":true,"storage":true,"subresources":{"scale":{"specReplicasPath":".spec.replicas","statusReplicasPath":".status.replicas","labelSelectorPath":".status.selector"}},"schema":{"openAPIV3Schema":{"type":"object","x-kubernetes-preserve-unknown-fields":true}}}]},"status":{"acceptedNames":{"plural":"farms","singular":"farm","kind":"Farm","listKind":"FarmList"},"conditions":[{"type":"NamesAccepted","status":"True"},{"type":"Established","status":"True"}]}})");
  constexpr client::Resource farms{"example.org", "v1", "farms"};
  server.add(
      farms, "x",
      R"({"apiVersion":"example.org/v1","kind":"Farm","metadata":{"name":"web"},"spec":{"replicas":2},"status":{"replicas":2,"selector":"app in web"}})");
  const auto size = [&] {
    return *json::Document::parse(server.find(farms, "x", "web").object->json())->root().at("spec", "replicas")->as_int();
  };
  add_pod("a", 100);
  add_pod("b", 100);
  start({make_autoscaler});
  add_autoscaler(half_of_cpu, "", "h", "example.org/v1/Farm");
  EXPECT_EQ(size(), 2) << "a text that is no selector chooses no pods";
  EXPECT_EQ(condition("AbleToScale"), "True SucceededGetScale");
  EXPECT_EQ(condition("ScalingActive"), "False InvalidSelector");
  EXPECT_EQ(
      message("ScalingActive"),
      "couldn't convert selector into a corresponding internal selector object: unable to parse requirement: found 'web', expected: '('");
  server.merge(farms, "x", "web", R"({"status":{"selector":null}})", "status");
  executor.advance(15s);
  EXPECT_EQ(condition("ScalingActive"), "False InvalidSelector");
  EXPECT_EQ(message("ScalingActive"), "the HPA target's scale is missing a selector");
  server.merge(farms, "x", "web", R"j({"status":{"selector":"app in (web,shop)"}})j", "status");
  executor.advance(15s);
  EXPECT_EQ(condition("ScalingActive"), "True ValidMetricFound");
  EXPECT_EQ(size(), 4);
}

}  // namespace
}  // namespace estiba::controllers
