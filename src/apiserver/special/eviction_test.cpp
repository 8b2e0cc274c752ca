// pods/eviction against budgets in every state.
#include <gtest/gtest.h>

#include "apiserver/api_errors.h"
#include "apiserver/testing/api_fixture.h"

namespace estiba::apiserver {
namespace {

class EvictionTest : public ApiFixture {
 protected:
  void SetUp() override {
    ApiFixture::SetUp();
    ASSERT_TRUE(create("", "v1", "serviceaccounts", "default", R"({"metadata":{"name":"default"}})"));
    add_pod("p", R"({"phase":"Running","conditions":[{"type":"Ready","status":"True"}]})");
  }
  void add_pod(const std::string& name, const std::string& status) {
    ASSERT_TRUE(create(
        "", "v1", "pods", "default",
        R"({"metadata":{"name":")" + name + R"(","labels":{"a":"b"}},"spec":{"nodeName":"n","containers":[{"name":"c","image":"i"}]}})"));
    ASSERT_TRUE(patch("", "v1", "pods", "default", name, BodyType::merge_patch, R"({"status":)" + status + "}", "status"));
  }
  void add_budget(const std::string& status, const std::string& spec = R"("minAvailable":1)", const std::string& name = "b") {
    auto made = create("policy", "v1", "poddisruptionbudgets", "default",
                       R"({"metadata":{"name":")" + name + R"("},"spec":{"selector":{"matchLabels":{"a":"b"}},)" + spec + "}}");
    ASSERT_TRUE(made) << made.error().message;
    if (status.empty()) return;
    auto patched =
        patch("policy", "v1", "poddisruptionbudgets", "default", name, BodyType::merge_patch, R"({"status":)" + status + "}", "status");
    ASSERT_TRUE(patched) << patched.error().message;
  }
  Result<Outcome> evict(const std::string& options = "{}", const std::string& pod = "p") {
    Action action = make(Verb::create, "", "v1", "pods", "default", pod);
    action.subresource = "eviction";
    action.body = R"({"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":")" + pod + R"("},"deleteOptions":)" + options + "}";
    return run(api_->run(std::move(action)));
  }
  bool going(const std::string& pod = "p") {
    auto got = get("", "v1", "pods", "default", pod);
    return !got || !got->meta().deletion_timestamp.empty();
  }
  int64_t allowed() {
    auto got = get("policy", "v1", "poddisruptionbudgets", "default", "b");
    return json_of(*got).at("status", "disruptionsAllowed")->as_int().value_or(-1);
  }
  static std::string cause(const Error& error) {
    return error.details && !error.details->causes.empty() ? error.details->causes[0].message : "";
  }
};

constexpr const char* none_left =
    R"({"observedGeneration":1,"disruptionsAllowed":0,"currentHealthy":1,"desiredHealthy":1,"expectedPods":1})";
constexpr const char* one_left =
    R"({"observedGeneration":1,"disruptionsAllowed":1,"currentHealthy":2,"desiredHealthy":1,"expectedPods":2})";

TEST_F(EvictionTest, without_a_budget_the_pod_goes_and_tells_why) {
  ASSERT_TRUE(evict());
  auto got = get("", "v1", "pods", "default", "p");
  ASSERT_TRUE(got);
  EXPECT_FALSE(got->meta().deletion_timestamp.empty());
  const json::Node& root = json_of(*got);
  EXPECT_EQ((*root.at("status", "conditions"))[1].string_at("type"), "DisruptionTarget");
  EXPECT_EQ((*root.at("status", "conditions"))[1].string_at("reason"), "EvictionByEvictionAPI");
}

TEST_F(EvictionTest, a_budget_that_nobody_has_counted_yet_refuses) {
  add_budget("");
  auto refused = evict();
  ASSERT_FALSE(refused);
  EXPECT_EQ(http_status(refused.error()), 429);
  EXPECT_EQ(refused.error().message, "Cannot evict pod as it would violate the pod's disruption budget.");
  EXPECT_EQ(cause(refused.error()), "The disruption budget b is still being processed by the server.");
  EXPECT_EQ(refused.error().details->retry_after_seconds, 10);
}

TEST_F(EvictionTest, a_used_up_budget_refuses_and_says_how_many_are_needed) {
  add_budget(none_left);
  auto refused = evict();
  ASSERT_FALSE(refused);
  EXPECT_EQ(http_status(refused.error()), 429);
  EXPECT_EQ(cause(refused.error()), "The disruption budget b needs 1 healthy pods and has 1 currently");
  EXPECT_FALSE(going());
}

TEST_F(EvictionTest, a_grant_is_taken_from_the_budget_once) {
  add_budget(one_left);
  add_pod("q", R"({"phase":"Running","conditions":[{"type":"Ready","status":"True"}]})");
  ASSERT_TRUE(evict());
  EXPECT_TRUE(going());
  EXPECT_EQ(allowed(), 0);
  auto got = get("policy", "v1", "poddisruptionbudgets", "default", "b");
  const json::Node& root = json_of(*got);
  EXPECT_TRUE(root.at("status", "disruptedPods", "p"));
  EXPECT_EQ((*root.at("status", "conditions"))[0].string_at("reason"), "InsufficientPods");
  ASSERT_FALSE(evict("{}", "q"));
  EXPECT_FALSE(going("q"));
}

TEST_F(EvictionTest, a_dry_run_takes_nothing) {
  add_budget(one_left);
  ASSERT_TRUE(evict(R"({"dryRun":["All"]})"));
  EXPECT_FALSE(going());
  EXPECT_EQ(allowed(), 1);
}

TEST_F(EvictionTest, two_budgets_are_not_supported) {
  add_budget(one_left);
  add_budget(one_left, R"("maxUnavailable":1)", "c");
  auto refused = evict();
  ASSERT_FALSE(refused);
  EXPECT_EQ(http_status(refused.error()), 500);
  EXPECT_EQ(refused.error().message, "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.");
}

TEST_F(EvictionTest, pods_that_do_not_run_are_not_protected) {
  add_budget(none_left);
  for (const char* phase : {"Pending", "Succeeded", "Failed"}) {
    const std::string name = "x-" + std::to_string(phase[0]);
    add_pod(name, R"({"phase":")" + std::string(phase) + R"("})");
    ASSERT_TRUE(evict("{}", name)) << phase;
    EXPECT_TRUE(going(name)) << phase;
  }
}

TEST_F(EvictionTest, unhealthy_pods_go_as_the_policy_says) {
  add_budget(none_left);
  add_pod("sick", R"({"phase":"Running"})");
  ASSERT_TRUE(evict("{}", "sick"));  // enough healthy ones are left
  ASSERT_TRUE(remove("policy", "v1", "poddisruptionbudgets", "default", "b"));
  add_budget(R"({"observedGeneration":1,"disruptionsAllowed":0,"currentHealthy":0,"desiredHealthy":1,"expectedPods":1})");
  add_pod("sick-2", R"({"phase":"Running"})");
  ASSERT_FALSE(evict("{}", "sick-2"));
  ASSERT_TRUE(remove("policy", "v1", "poddisruptionbudgets", "default", "b"));
  add_budget(R"({"observedGeneration":1,"disruptionsAllowed":0,"currentHealthy":0,"desiredHealthy":1,"expectedPods":1})",
             R"("minAvailable":1,"unhealthyPodEvictionPolicy":"AlwaysAllow")");
  ASSERT_TRUE(evict("{}", "sick-2"));
}

TEST_F(EvictionTest, preconditions_and_names_must_fit) {
  auto refused = evict(R"({"preconditions":{"uid":"other"}})");
  ASSERT_FALSE(refused);
  EXPECT_EQ(http_status(refused.error()), 409);
  refused = evict(R"({"preconditions":{"resourceVersion":"1"}})");
  ASSERT_FALSE(refused);
  EXPECT_EQ(http_status(refused.error()), 409);
  EXPECT_FALSE(going());
  Action action = make(Verb::create, "", "v1", "pods", "default", "p");
  action.subresource = "eviction";
  action.body = R"({"metadata":{"name":"q"}})";
  auto other = run(api_->run(std::move(action)));
  ASSERT_FALSE(other);
  EXPECT_EQ(http_status(other.error()), 400);
}

}  // namespace
}  // namespace estiba::apiserver
