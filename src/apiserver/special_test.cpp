// Subresources and reviews.
#include <gtest/gtest.h>

#include "apiserver/api_errors.h"
#include "apiserver/list_metadata.h"
#include "apiserver/testing/api_fixture.h"

namespace estiba::apiserver {
namespace {

class SpecialTest : public ApiFixture {
 protected:
  void SetUp() override {
    ApiFixture::SetUp();
    ASSERT_TRUE(create("", "v1", "serviceaccounts", "default", R"({"metadata":{"name":"default"}})"));
    ASSERT_TRUE(create("", "v1", "pods", "default",
                       R"({"metadata":{"name":"p","labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}})"));
  }
  Result<Outcome> post(std::string_view group, std::string_view resource, std::string ns, std::string name, std::string subresource,
                       std::string body, User user = {"tester", {}, {"system:masters"}, {}}) {
    Action action = make(Verb::create, group, "v1", resource, std::move(ns), std::move(name));
    action.subresource = std::move(subresource);
    action.body = std::move(body);
    action.user = std::move(user);
    return run(api_->run(std::move(action)));
  }
  json::Document parse(const std::string& text) {
    auto doc = json::Document::parse(text);
    EXPECT_TRUE(doc) << text;
    return std::move(*doc);
  }
};

TEST_F(SpecialTest, scale_reads_and_writes_replicas) {
  ASSERT_TRUE(create("apps", "v1", "deployments", "default", deployment("web")));
  auto scaled = patch("apps", "v1", "deployments", "default", "web", BodyType::merge_patch, R"({"spec":{"replicas":4}})", "scale");
  ASSERT_TRUE(scaled) << scaled.error().message;
  json::Document scale = parse(scaled->json);
  EXPECT_EQ(scale.root().string_at("kind"), "Scale");
  EXPECT_EQ(scale.root().at("spec", "replicas")->as_int(), 4);
  EXPECT_EQ(scale.root().string_at("status", "selector"), "app=x");
  auto got = get("apps", "v1", "deployments", "default", "web");
  EXPECT_EQ(json_of(*got).at("spec", "replicas")->as_int(), 4);
  EXPECT_EQ(got->meta().generation, 2);
}

TEST_F(SpecialTest, what_nothing_stores_has_no_revision) {
  auto listed = run(api_->run(make(Verb::list, "", "v1", "componentstatuses", "")));
  ASSERT_TRUE(listed && listed->page);
  EXPECT_EQ(listed->page->items[0].print().find("resourceVersion"), std::string::npos);
  std::string text;
  append_list_metadata(text, *listed->page);
  EXPECT_EQ(text, R"("metadata":{})");
}

TEST_F(SpecialTest, a_pod_is_bound_once) {
  auto bound = post("", "pods", "default", "p", "binding", R"({"metadata":{"name":"p"},"target":{"kind":"Node","name":"n1"}})");
  ASSERT_TRUE(bound) << bound.error().message;
  auto got = get("", "v1", "pods", "default", "p");
  EXPECT_EQ(json_of(*got).string_at("spec", "nodeName"), "n1");
  EXPECT_EQ((*json_of(*got).at("status", "conditions"))[0].string_at("type"), "PodScheduled");
  auto again = post("", "pods", "default", "p", "binding", R"({"target":{"name":"n2"}})");
  ASSERT_FALSE(again);
  EXPECT_EQ(http_status(again.error()), 409);
}

TEST_F(SpecialTest, tokens_hold_until_what_they_are_bound_to_is_gone) {
  auto answered = post("", "serviceaccounts", "default", "default", "token",
                       R"({"spec":{"expirationSeconds":600,"boundObjectRef":{"kind":"Pod","apiVersion":"v1","name":"p"}}})");
  ASSERT_TRUE(answered) << answered.error().message;
  std::string token(parse(answered->json).root().string_at("status", "token"));
  auto info = api_->authenticator().verify_token(token, {});
  ASSERT_TRUE(info) << info.error().message;
  EXPECT_EQ(info->user.name, "system:serviceaccount:default:default");
  EXPECT_TRUE(info->user.in_group("system:serviceaccounts:default"));
  EXPECT_FALSE(api_->authenticator().verify_token(token, {"somebody-else"})) << "another audience";
  EXPECT_FALSE(api_->authenticator().verify_token(token + "x", {})) << "a broken signature";
  ASSERT_TRUE(remove("", "v1", "pods", "default", "p"));
  EXPECT_FALSE(api_->authenticator().verify_token(token, {})) << "the pod is gone";
}

TEST_F(SpecialTest, a_token_for_a_moment_is_refused) {
  auto refused = post("", "serviceaccounts", "default", "default", "token", R"({"spec":{"expirationSeconds":5}})");
  ASSERT_FALSE(refused);
  EXPECT_EQ(http_status(refused.error()), 422);
}

TEST_F(SpecialTest, roles_allow_what_they_say_and_no_more) {
  User jane{"jane", {}, {"devs", "system:authenticated"}, {}};
  ASSERT_TRUE(
      create("rbac.authorization.k8s.io", "v1", "roles", "default",
             R"({"metadata":{"name":"reader"},"rules":[{"apiGroups":[""],"resources":["pods","pods/log"],"verbs":["get","list"]}]})"));
  ASSERT_TRUE(
      create("rbac.authorization.k8s.io", "v1", "rolebindings", "default",
             R"({"metadata":{"name":"devs"},"roleRef":{"kind":"Role","name":"reader"},"subjects":[{"kind":"Group","name":"devs"}]})"));
  auto may = [&](std::string verb, std::string resource, std::string subresource, std::string ns) {
    return api_->authorizer().authorize(jane, {verb, "", "v1", resource, subresource, ns, "x", {}}).allowed;
  };
  EXPECT_TRUE(may("get", "pods", "", "default"));
  EXPECT_TRUE(may("get", "pods", "log", "default"));
  EXPECT_FALSE(may("get", "pods", "exec", "default"));
  EXPECT_FALSE(may("delete", "pods", "", "default"));
  EXPECT_FALSE(may("get", "pods", "", "kube-system"));
  EXPECT_FALSE(may("get", "secrets", "", "default"));
  auto review = post("authorization.k8s.io", "selfsubjectaccessreviews", "", "", "",
                     R"({"spec":{"resourceAttributes":{"verb":"list","resource":"pods","namespace":"default"}}})", jane);
  ASSERT_TRUE(review) << review.error().message;
  EXPECT_TRUE(parse(review->json).root().at("status", "allowed")->as_bool());
}

TEST_F(SpecialTest, a_role_that_is_taken_away_counts_no_more) {
  User jane{"jane", {}, {}, {}};
  ASSERT_TRUE(
      create("rbac.authorization.k8s.io", "v1", "clusterroles", "",
             R"({"metadata":{"name":"r"},"rules":[{"apiGroups":[""],"resources":["pods"],"resourceNames":["p"],"verbs":["get"]}]})"));
  ASSERT_TRUE(
      create("rbac.authorization.k8s.io", "v1", "clusterrolebindings", "",
             R"({"metadata":{"name":"b"},"roleRef":{"kind":"ClusterRole","name":"r"},"subjects":[{"kind":"User","name":"jane"}]})"));
  auto may_get = [&](std::string name) {
    return api_->authorizer().authorize(jane, {"get", "", "v1", "pods", "", "default", name, {}}).allowed;
  };
  EXPECT_TRUE(may_get("p"));
  EXPECT_FALSE(may_get("q")) << "another name";
  ASSERT_TRUE(remove("rbac.authorization.k8s.io", "v1", "clusterroles", "", "r"));
  EXPECT_FALSE(may_get("p"));
}

TEST_F(SpecialTest, anonymous_callers_may_nothing) {
  User anonymous{std::string(anonymous_name), {}, {"system:unauthenticated"}, {}};
  EXPECT_FALSE(api_->authorizer().authorize(anonymous, {"get", "", "v1", "pods", "", "default", "p", {}}).allowed);
  EXPECT_FALSE(api_->authorizer().authorize(anonymous, {.verb = "get", .path = "/api"}).allowed);
}

}  // namespace
}  // namespace estiba::apiserver
