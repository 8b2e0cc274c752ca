// Owners of fields and server-side apply, through the registry.
#include "apiserver/ownership.h"
#include "apiserver/testing/api_fixture.h"

namespace estiba::apiserver {
namespace {

class ApplyTest : public ApiFixture {
 protected:
  Action applying(std::string_view group, std::string_view version, std::string_view resource, std::string name, std::string body,
                  std::string manager = "kubectl") {
    Action action = make(Verb::patch, group, version, resource, "default", std::move(name));
    action.body_type = BodyType::apply_patch;
    action.body = std::move(body);
    action.write.field_manager = std::move(manager);
    return action;
  }
  Result<Outcome> apply(std::string name, std::string body, std::string manager = "kubectl", bool force = false) {
    Action action = applying("apps", "v1", "deployments", std::move(name), std::move(body), std::move(manager));
    action.write.force = force;
    return run(api_->run(std::move(action)));
  }
  static std::string web(std::string_view spec, std::string_view labels = "") {
    return R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web")" + std::string(labels) + R"(},"spec":{)" +
           std::string(spec) + R"("selector":{"matchLabels":{"app":"x"}},"template":{"metadata":{"labels":{"app":"x"}},)" +
           R"("spec":{"containers":[{"name":"c","image":"busybox"}]}}}})";
  }
  /// "manager operation subresource fieldsV1", a line each.
  std::string owners(std::string_view group, std::string_view version, std::string_view resource, std::string name) {
    auto object = get(group, version, resource, "default", std::move(name));
    EXPECT_TRUE(object);
    std::string out;
    const json::Node* list = json_of(*object).at("metadata", "managedFields");
    if (!list) return out;
    for (const json::Node& entry : *list) {
      out.append(entry.string_at("manager")).append(" ").append(entry.string_at("operation")).append(" ");
      out.append(entry.string_at("subresource")).append(" ").append(json::print(*entry.find("fieldsV1"))).append("\n");
    }
    return out;
  }
  std::string message(const Result<Outcome>& outcome) { return outcome ? "" : outcome.error().message; }
};

TEST_F(ApplyTest, CreationsAndUpdatesHaveOwners) {
  Action action = make(Verb::create, "", "v1", "configmaps", "default");
  action.body = R"({"metadata":{"name":"c","labels":{"a":"1"}},"data":{"x":"1"}})";
  action.write.user_agent = "kubectl/v1.36.0 (linux/amd64) kubernetes/abc";
  ASSERT_TRUE(run(api_->run(action)));
  EXPECT_EQ(owners("", "v1", "configmaps", "c"),
            R"(kubectl Update  {"f:data":{".":{},"f:x":{}},"f:metadata":{"f:labels":{".":{},"f:a":{}}}})"
            "\n");
  Action patching = make(Verb::patch, "", "v1", "configmaps", "default", "c");
  patching.body_type = BodyType::merge_patch;
  patching.body = R"({"data":{"x":"2"}})";
  patching.write.field_manager = "other";
  ASSERT_TRUE(run(api_->run(patching)));
  EXPECT_EQ(owners("", "v1", "configmaps", "c"),
            "kubectl Update  {\"f:data\":{},\"f:metadata\":{\"f:labels\":{\".\":{},\"f:a\":{}}}}\n"
            "other Update  {\"f:data\":{\"f:x\":{}}}\n");
}

TEST_F(ApplyTest, WritesThatChangeNothingKeepTheRevision) {
  auto first = apply("web", web(R"("replicas":2,)"));
  ASSERT_TRUE(first) << message(first);
  EXPECT_EQ(first->status, 201);
  auto again = apply("web", web(R"("replicas":2,)"));
  ASSERT_TRUE(again) << message(again);
  EXPECT_EQ(again->status, 200);
  EXPECT_EQ(again->object.revision, first->object.revision);
  EXPECT_EQ(owners("apps", "v1", "deployments", "web"),
            R"(kubectl Apply  {"f:spec":{"f:replicas":{},"f:selector":{},"f:template":{"f:metadata":{"f:labels":{"f:app":{}}},)"
            R"("f:spec":{"f:containers":{"k:{\"name\":\"c\"}":{".":{},"f:image":{},"f:name":{}}}}}}})"
            "\n");
}

TEST_F(ApplyTest, ConflictsAreNamedAsKubectlUsersKnowThem) {
  Action action = make(Verb::create, "apps", "v1", "deployments", "default");
  action.body = web(R"("replicas":2,"minReadySeconds":3,)");
  action.write.field_manager = "kubectl-client-side-apply";
  ASSERT_TRUE(run(api_->run(action)));
  auto outcome = apply("web", web(R"("replicas":5,"minReadySeconds":3,)"));
  ASSERT_FALSE(outcome);
  EXPECT_EQ(message(outcome), "Apply failed with 1 conflict: conflict with \"kubectl-client-side-apply\" using apps/v1: .spec.replicas");
  EXPECT_EQ(outcome.error().code, Code::conflict);
  ASSERT_EQ(outcome.error().details->causes.size(), 1u);
  EXPECT_EQ(outcome.error().details->causes[0].reason, "FieldManagerConflict");
  EXPECT_EQ(outcome.error().details->causes[0].message, "conflict with \"kubectl-client-side-apply\" using apps/v1");
  EXPECT_EQ(outcome.error().details->causes[0].field, ".spec.replicas");
  EXPECT_EQ(message(apply("web", web(R"("replicas":5,"minReadySeconds":4,)"))),
            "Apply failed with 2 conflicts: conflicts with \"kubectl-client-side-apply\" using apps/v1:\n- .spec.minReadySeconds\n- "
            ".spec.replicas");
  auto forced = apply("web", web(R"("replicas":5,)"), "kubectl", true);
  ASSERT_TRUE(forced) << message(forced);
  EXPECT_EQ(json_of(forced->object).at("spec", "replicas")->as_int(), 5);
}

TEST_F(ApplyTest, AbsentFieldsGoBackToTheirDefaults) {
  ASSERT_TRUE(apply("web", web(R"("replicas":3,)", R"(,"labels":{"a":"1"})")));
  auto outcome = apply("web", web(""));
  ASSERT_TRUE(outcome) << message(outcome);
  const json::Node& object = json_of(outcome->object);
  EXPECT_EQ(object.at("spec", "replicas")->as_int(), 1);
  EXPECT_EQ(object.at("metadata", "labels"), nullptr);
  EXPECT_EQ(object.at("metadata", "generation")->as_int(), 2);
}

TEST_F(ApplyTest, BadConfigurationsAreRefused) {
  EXPECT_EQ(message(apply("web", "a: [")).substr(0, 20), "error decoding YAML:");
  EXPECT_EQ(message(apply("web", R"({"apiVersion":"apps/v1","kind":"ReplicaSet","metadata":{"name":"web"}})")),
            "invalid object type: apps/v1, Kind=ReplicaSet");
  EXPECT_EQ(message(apply("web", R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","managedFields":[]}})")),
            "metadata.managedFields must be nil");
  EXPECT_EQ(message(apply("web", R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{"foo":1}})")),
            "failed to create typed patch object (/web; apps/v1, Kind=Deployment): .spec.foo: field not declared in schema");
  EXPECT_EQ(message(apply("web", R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","uid":"u"}})")),
            "Operation cannot be fulfilled on deployments.apps \"web\": uid mismatch: the provided object specified uid u, and no existing "
            "object was "
            "found");
  ASSERT_TRUE(apply("web", web("")));
  EXPECT_EQ(message(apply("other", web(""))), "the name of the object (web) does not match the name on the URL (other)");
  std::string elsewhere = web("");
  elsewhere.replace(elsewhere.find(R"("name":"web")"), 12, R"("name":"web","namespace":"kube-system")");
  EXPECT_EQ(message(apply("web", elsewhere)), "the namespace of the provided object does not match the namespace sent on the request");
}

TEST_F(ApplyTest, DuplicateKeysAreToldOrRefused) {
  const std::string twice = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: '1', a: '2'}\n";
  Action action = applying("", "v1", "configmaps", "c", twice);
  action.write.validation = FieldValidation::strict;
  EXPECT_EQ(message(run(api_->run(action))),
            "error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:\n  line 4: key \"a\" already set in map");
  action.write.validation = FieldValidation::warn;
  auto outcome = run(api_->run(action));
  ASSERT_TRUE(outcome) << message(outcome);
  EXPECT_EQ(outcome->warnings.size(), 1u);
  EXPECT_EQ(json_of(outcome->object).string_at("data", "a"), "2");
}

TEST_F(ApplyTest, DryRunChangesNothing) {
  Action action = applying("apps", "v1", "deployments", "web", web(""));
  action.write.dry_run = true;
  ASSERT_TRUE(run(api_->run(action)));
  EXPECT_FALSE(get("apps", "v1", "deployments", "default", "web"));
}

TEST_F(ApplyTest, CreationNeedsItsOwnPermission) {
  Action action = applying("apps", "v1", "deployments", "web", web(""));
  action.write.create_denied = "nobody may";
  auto outcome = run(api_->run(action));
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, Code::forbidden);
}

TEST_F(ApplyTest, StatusIsItsSubresources) {
  std::string body = web(R"("replicas":2,)");
  body.insert(body.size() - 1, R"(,"status":{"replicas":7})");
  ASSERT_TRUE(apply("web", body));
  EXPECT_EQ(owners("apps", "v1", "deployments", "web").find("f:status"), std::string::npos);
  Action action = applying(
      "apps", "v1", "deployments", "web",
      R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{"replicas":9},"status":{"replicas":2}})", "counter");
  action.subresource = "status";
  auto outcome = run(api_->run(action));
  ASSERT_TRUE(outcome) << message(outcome);
  EXPECT_EQ(json_of(outcome->object).at("status", "replicas")->as_int(), 2);
  EXPECT_EQ(json_of(outcome->object).at("spec", "replicas")->as_int(), 2);
  EXPECT_NE(owners("apps", "v1", "deployments", "web").find("counter Apply status {\"f:status\":{\"f:replicas\":{}}}\n"),
            std::string::npos);
}

TEST_F(ApplyTest, PartsOfPodsAreAppliedByTheirOwnDoors) {
  ASSERT_TRUE(create("", "v1", "serviceaccounts", "default", R"({"metadata":{"name":"default"}})"));
  auto made = create("", "v1", "pods", "default", R"({"metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"i"}]}})");
  ASSERT_TRUE(made) << message(made);
  Action action = applying(
      "", "v1", "pods", "p",
      R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"ephemeralContainers":[{"name":"d","image":"x"}]}})", "dbg");
  action.subresource = "ephemeralcontainers";
  auto outcome = run(api_->run(std::move(action)));
  ASSERT_TRUE(outcome) << message(outcome);
  EXPECT_EQ(json_of(outcome->object).at("spec", "ephemeralContainers")->size(), 1u);
  EXPECT_EQ(outcome->object.meta().generation, 2);
  EXPECT_NE(
      owners("", "v1", "pods", "p")
          .find(
              R"(dbg Apply ephemeralcontainers {"f:spec":{"f:ephemeralContainers":{"k:{\"name\":\"d\"}":{".":{},"f:image":{},"f:name":{}}}}})"),
      std::string::npos)
      << owners("", "v1", "pods", "p");
}

TEST_F(ApplyTest, ManagedFieldsCanBeReplacedAndReset) {
  ASSERT_TRUE(apply("web", web("")));
  const auto patched = [&](std::string body) {
    return patch("apps", "v1", "deployments", "default", "web", BodyType::json_patch, std::move(body));
  };
  ASSERT_TRUE(
      patched(R"([{"op":"replace","path":"/metadata/managedFields","value":[{"manager":"new","operation":"Apply","apiVersion":"apps/v1",)"
              R"("fieldsType":"FieldsV1","fieldsV1":{"f:spec":{"f:replicas":{}}}}]}])"));
  EXPECT_EQ(owners("apps", "v1", "deployments", "web"), "new Apply  {\"f:spec\":{\"f:replicas\":{}}}\n");
  ASSERT_TRUE(patched(R"([{"op":"replace","path":"/metadata/managedFields/0/operation","value":"Nonsense"}])"));
  EXPECT_EQ(owners("apps", "v1", "deployments", "web"), "new Apply  {\"f:spec\":{\"f:replicas\":{}}}\n")
      << "what cannot be read is not taken";
  ASSERT_TRUE(patched(R"([{"op":"replace","path":"/metadata/managedFields","value":[]}])"));
  EXPECT_EQ(owners("apps", "v1", "deployments", "web"), "");
  ASSERT_TRUE(patched(R"([{"op":"replace","path":"/spec/replicas","value":4}])"));
  EXPECT_EQ(owners("apps", "v1", "deployments", "web"), "");
}

TEST_F(ApplyTest, KubectlTakesOverFromItsClientSideApply) {
  const std::string spec = R"("replicas":2,)";
  std::string last = json::print(json::Document::parse(web(spec))->root()), quoted;
  json::append_string(quoted, last);
  Action action = make(Verb::create, "apps", "v1", "deployments", "default");
  action.body = web(spec, R"(,"annotations":{"kubectl.kubernetes.io/last-applied-configuration":)" + quoted + "}");
  action.write.field_manager = "kubectl-client-side-apply";
  ASSERT_TRUE(run(api_->run(action)));
  EXPECT_FALSE(apply("web", web(R"("replicas":6,)"), "someone"));
  auto outcome = apply("web", web(R"("replicas":6,)"));
  ASSERT_TRUE(outcome) << message(outcome);
  const json::Node& object = json_of(outcome->object);
  EXPECT_EQ(object.at("spec", "replicas")->as_int(), 6);
  const std::string_view now = object.string_at("metadata", "annotations", "kubectl.kubernetes.io/last-applied-configuration");
  EXPECT_NE(now.find("\"replicas\":6"), std::string_view::npos) << now;
}

TEST_F(ApplyTest, OwnersFollowTheVersionOfTheWrite) {
  Action action = make(Verb::create, "autoscaling", "v1", "horizontalpodautoscalers", "default");
  action.body =
      R"({"metadata":{"name":"h"},"spec":{"maxReplicas":3,"scaleTargetRef":{"kind":"Deployment","name":"w"},"targetCPUUtilizationPercentage":50}})";
  action.write.field_manager = "old";
  auto made = run(api_->run(action));
  ASSERT_TRUE(made) << message(made);
  Action patching = make(Verb::patch, "autoscaling", "v2", "horizontalpodautoscalers", "default", "h");
  patching.body_type = BodyType::merge_patch;
  patching.body = R"({"spec":{"maxReplicas":4}})";
  patching.write.field_manager = "new";
  auto patched = run(api_->run(patching));
  ASSERT_TRUE(patched) << message(patched);
  const std::string owned = owners("autoscaling", "v2", "horizontalpodautoscalers", "h");
  EXPECT_NE(owned.find("new Update  {\"f:spec\":{\"f:maxReplicas\":{}}}\n"), std::string::npos) << owned;
  EXPECT_NE(owned.find("f:targetCPUUtilizationPercentage"), std::string::npos) << owned;
  EXPECT_EQ(owned.find("f:maxReplicas"), owned.rfind("f:maxReplicas")) << owned;
}

TEST(Ownership, TheManagerIsNamedOrReadFromTheUserAgent) {
  Action action;
  EXPECT_EQ(manager_of(action), "unknown");
  action.write.user_agent = "kube-controller-manager/v1.36 (linux)";
  EXPECT_EQ(manager_of(action), "kube-controller-manager");
  action.write.field_manager = "me";
  EXPECT_EQ(manager_of(action), "me");
}

}  // namespace
}  // namespace estiba::apiserver
