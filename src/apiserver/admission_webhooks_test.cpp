// Webhooks of admission, asked by the registry: a real HTTPS server on a loop of its own answers.
#include <gtest/gtest.h>

#include <deque>
#include <semaphore>

#include "apiserver/api_errors.h"
#include "apiserver/testing/api_fixture.h"
#include "base/strings.h"
#include "io/http_server.h"
#include "io/thread.h"

namespace estiba::apiserver {
namespace {

constexpr std::string_view group = "admissionregistration.k8s.io";

class AdmissionWebhooksTest : public ApiFixture {
 protected:
  void SetUp() override {
    ApiFixture::SetUp();
    const WallTime now = std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
    auto ca = io::make_ca("hooks", now);
    ASSERT_TRUE(ca);
    auto pair = io::make_certificate(*ca, {.common_name = "w", .ip_addresses = {"127.0.0.1"}, .server = true}, now);
    ASSERT_TRUE(pair);
    ca_ = base64_encode(ca->certificate_pem);
    auto tls = io::make_tls_server({.certificate_pem = pair->certificate_pem, .key_pem = pair->key_pem, .alpn = {"http/1.1"}});
    ASSERT_TRUE(tls);
    server_ = std::make_unique<io::HttpServer>(std::vector<io::Loop*>{&thread_.loop()}, io::HttpServerOptions{},
                                               [this](io::Request& q, io::Response& r) { return handle(q, r); });
    ASSERT_TRUE(server_->listen_tcp("127.0.0.1", 0, *tls));
  }
  void TearDown() override {
    std::binary_semaphore closed(0);
    thread_.loop().post([&] {
      server_.reset();
      closed.release();
    });
    closed.acquire();
  }

  // Answers with the next of the responses, in which $UID is the request's; allows when there is none.
  Task<void> handle(io::Request& request, io::Response& response) {
    auto body = co_await request.body();
    std::string answer = R"({"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"$UID","allowed":true}})";
    std::string uid;
    {
      std::lock_guard lock(mutex_);
      auto review = json::Document::parse(body ? *body : "");
      uid = review ? review->root().string_at("request", "uid") : "";
      asked_.push_back(body ? *body : "");
      if (!answers_.empty()) {
        answer = answers_.front();
        answers_.pop_front();
      }
    }
    if (const size_t at = answer.find("$UID"); at != std::string::npos) answer.replace(at, 4, uid);
    response.send(200, {{"Content-Type", "application/json"}}, answer);
  }

  static std::string response(const std::string& members) {
    return R"({"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"$UID",)" + members + "}}";
  }
  static std::string patch(std::string_view operations) {
    return response(R"("allowed":true,"patchType":"JSONPatch","patch":")" + base64_encode(operations) + "\"");
  }
  void answer(std::string text) { answers_.push_back(std::move(text)); }
  size_t asked() {
    std::lock_guard lock(mutex_);
    return asked_.size();
  }
  // What the n-th review says, by its request.
  const json::Node& review(size_t n) {
    std::lock_guard lock(mutex_);
    auto doc = json::Document::parse(asked_.at(n));
    EXPECT_TRUE(doc);
    reviews_.push_back(std::move(*doc));
    return *reviews_.back().root().find("request");
  }

  std::string hook(const std::string& name, const std::string& more = {}, const std::string& rule = {}) {
    const std::string rules =
        rule.empty() ? R"({"operations":["CREATE","UPDATE"],"apiGroups":[""],"apiVersions":["v1"],"resources":["configmaps"]})" : rule;
    return R"({"name":")" + name + R"(.hooks.example.com","sideEffects":"None","admissionReviewVersions":["v1"],"rules":[)" + rules +
           R"(],"clientConfig":{"url":"https://127.0.0.1:)" + std::to_string(server_->port()) + R"(/x","caBundle":")" + ca_ + "\"}" + more +
           "}";
  }
  std::string configure(std::string_view resource, const std::string& name, const std::string& hooks) {
    auto made = create(group, "v1", resource, "", R"({"metadata":{"name":")" + name + R"("},"webhooks":[)" + hooks + "]}");
    return made ? "" : made.error().message;
  }
  void mutating(const std::string& hooks) { ASSERT_EQ(configure("mutatingwebhookconfigurations", "m", hooks), ""); }
  void validating(const std::string& hooks) { ASSERT_EQ(configure("validatingwebhookconfigurations", "v", hooks), ""); }
  Result<Outcome> config_map(const std::string& name = "x", const std::string& more = {}) {
    return create("", "v1", "configmaps", "default", R"({"metadata":{"name":")" + name + "\"" + more + R"(},"data":{"a":"b"}})");
  }
  static std::string message(const Result<Outcome>& outcome) { return outcome ? "" : outcome.error().message; }
  static json::Document status(const Error& error) { return std::move(*json::Document::parse(status_json(error))); }

  io::LoopThread thread_{"hooks"};
  std::unique_ptr<io::HttpServer> server_;
  std::string ca_;
  std::mutex mutex_;
  std::deque<std::string> answers_;
  std::vector<std::string> asked_;
  std::deque<json::Document> reviews_;
};

TEST_F(AdmissionWebhooksTest, a_refusal_is_answered_as_the_webhook_words_it) {
  validating(hook("deny"));
  answer(
      response(R"("allowed":false,"status":{"message":"no","reason":"Conflict","code":409,"details":{"name":"n","retryAfterSeconds":3}})"));
  auto refused = config_map();
  ASSERT_FALSE(refused);
  EXPECT_EQ(http_status(refused.error()), 409);
  EXPECT_EQ(
      json::print(status(refused.error()).root()),
      R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"admission webhook \"deny.hooks.example.com\" )"
      R"(denied the request: no","reason":"Conflict","details":{"name":"n","retryAfterSeconds":3},"code":409})");
  answer(response(R"("allowed":false,"status":{"code":200,"status":"Success","reason":"Why"})"));
  refused = config_map();
  EXPECT_EQ(message(refused), "admission webhook \"deny.hooks.example.com\" denied the request: Why");
  EXPECT_EQ(http_status(refused.error()), 400);
  answer(response(R"("allowed":false)"));
  refused = config_map();
  EXPECT_EQ(message(refused), "admission webhook \"deny.hooks.example.com\" denied the request without explanation");
  EXPECT_EQ(status(refused.error()).root().string_at("reason"), "");
  EXPECT_TRUE(config_map()) << "allowed now";
}

TEST_F(AdmissionWebhooksTest, patches_are_decoded_and_get_defaults) {
  mutating(hook("patch"));
  answer(patch(R"([{"op":"add","path":"/data/c","value":"d"},{"op":"add","path":"/unknown","value":1}])"));
  auto made = config_map();
  ASSERT_TRUE(made) << made.error().message;
  const json::Node& root = json_of(made->object);
  EXPECT_EQ(json::print(*root.find("data")), R"({"a":"b","c":"d"})");
  EXPECT_FALSE(root.find("unknown"));
  for (const char* operations : {R"([{"op":"remove","path":"/none"}])", R"([{"op":"replace","path":"/data","value":3}])",
                                 R"([{"op":"replace","path":"/kind","value":"Secret"}])", R"([{"op":"replace","path":"","value":[]}])"}) {
    answer(patch(operations));
    auto refused = config_map("y");
    ASSERT_FALSE(refused) << operations;
    EXPECT_EQ(http_status(refused.error()), 500);
    EXPECT_TRUE(refused.error().message.starts_with("Internal error occurred: ")) << refused.error().message;
  }
}

TEST_F(AdmissionWebhooksTest, patches_do_not_make_another_object) {
  mutating(hook("who"));
  answer(patch(R"([{"op":"replace","path":"/metadata/namespace","value":"kube-system"}])"));
  EXPECT_EQ(message(config_map()), "the namespace of the provided object does not match the namespace sent on the request");
  answer(patch(
      R"([{"op":"replace","path":"/metadata/uid","value":"mine"},{"op":"add","path":"/metadata/deletionTimestamp","value":"2020-01-01T00:00:00Z"}])"));
  auto made = config_map();
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->object.meta().uid.size(), 36u);
  EXPECT_EQ(made->object.meta().deletion_timestamp, "");
  answer(patch(R"([{"op":"replace","path":"/metadata/name","value":"other"}])"));
  EXPECT_EQ(message(ApiFixture::patch("", "v1", "configmaps", "default", "x", BodyType::merge_patch, R"({"data":{"a":"c"}})")),
            "ConfigMap \"x\" is invalid: metadata.name: Invalid value: \"other\": field is immutable");
  answer(patch(R"([{"op":"remove","path":"/metadata"}])"));
  EXPECT_FALSE(config_map("y"));
}

TEST_F(AdmissionWebhooksTest, answers_that_are_none_fail_the_call) {
  mutating(hook("odd"));
  const auto wrong = [&](std::string text) {
    answer(std::move(text));
    std::string said = message(config_map());
    constexpr std::string_view begin = "Internal error occurred: failed calling webhook \"odd.hooks.example.com\": ";
    EXPECT_TRUE(said.starts_with(begin)) << said;
    return said.starts_with(begin) ? said.substr(begin.size()) : said;
  };
  EXPECT_TRUE(wrong("").starts_with("failed to call webhook: the answer is no JSON"));
  EXPECT_EQ(wrong("[]"), "failed to call webhook: the answer is no AdmissionReview");
  EXPECT_EQ(wrong("{}"), "received invalid webhook response: webhook response was absent");
  EXPECT_TRUE(
      wrong(R"({"response":{"uid":"other","allowed":true}})").starts_with("received invalid webhook response: expected response.uid="));
  EXPECT_EQ(wrong(R"({"apiVersion":"v1","kind":"Pod","response":{"uid":"$UID","allowed":true}})"),
            "received invalid webhook response: expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got /v1, Kind=Pod");
  EXPECT_EQ(wrong(response(R"("allowed":1)")), "received invalid webhook response: response.allowed is no boolean");
  EXPECT_EQ(wrong(response(R"("allowed":true,"patch":"e30=")")),
            "received invalid webhook response: webhook returned response.patch but not response.patchType");
  EXPECT_EQ(wrong(response(R"("allowed":true,"patchType":"JSONPatch")")),
            "received invalid webhook response: webhook returned response.patchType but not response.patch");
  EXPECT_EQ(wrong(response(R"("allowed":true,"patchType":"Merge","patch":"e30=")")), "unsupported patch type \"Merge\"");
  EXPECT_TRUE(wrong(response(R"("allowed":true,"patchType":"JSONPatch","patch":"%")")).contains("response.patch is no base64"));
  EXPECT_EQ(wrong(patch("{}")), "received undecodable patch in webhook response: it is no list");
  EXPECT_TRUE(wrong(std::string(9 << 20, ' ')).starts_with("failed to call webhook: "));
}

TEST_F(AdmissionWebhooksTest, who_is_asked_follows_from_rules_and_selectors) {
  ASSERT_TRUE(create("", "v1", "namespaces", "", R"({"metadata":{"name":"other","labels":{"hooks":"yes"}}})"));
  validating(hook("labels", R"(,"objectSelector":{"matchLabels":{"ask":"yes"}})") + "," +
             hook("namespaces", R"(,"namespaceSelector":{"matchLabels":{"hooks":"yes"}})",
                  R"({"operations":["*"],"apiGroups":["*"],"apiVersions":["*"],"resources":["*"],"scope":"Namespaced"})") +
             "," +
             hook("cluster", "", R"({"operations":["CREATE"],"apiGroups":["*"],"apiVersions":["*"],"resources":["*"],"scope":"Cluster"})"));
  EXPECT_TRUE(config_map("a"));
  EXPECT_EQ(asked(), 0u);
  EXPECT_TRUE(config_map("b", R"(,"labels":{"ask":"yes"})"));
  EXPECT_EQ(asked(), 1u);
  EXPECT_TRUE(create("", "v1", "secrets", "other", R"({"metadata":{"name":"s"}})"));
  EXPECT_EQ(asked(), 2u);
  EXPECT_EQ(review(1).string_at("resource", "resource"), "secrets");
  EXPECT_TRUE(create("", "v1", "namespaces", "", R"({"metadata":{"name":"third"}})"));
  EXPECT_EQ(asked(), 3u) << "a Namespace is an object of the cluster";
  EXPECT_EQ(review(2).string_at("namespace"), "third");
  EXPECT_TRUE(remove("", "v1", "secrets", "other", "s"));
  EXPECT_EQ(asked(), 4u);
  EXPECT_EQ(review(3).string_at("oldObject", "metadata", "name"), "s");
}

TEST_F(AdmissionWebhooksTest, subresources_are_seen_as_what_they_are) {
  ASSERT_TRUE(create("apps", "v1", "deployments", "default", deployment("d")));
  mutating(hook("scale", "", R"({"operations":["*"],"apiGroups":["apps"],"apiVersions":["v1"],"resources":["deployments/scale"]})") + "," +
           hook("bind", "", R"({"operations":["*"],"apiGroups":[""],"apiVersions":["v1"],"resources":["pods/binding"]})"));
  answer(patch(R"([{"op":"replace","path":"/spec/replicas","value":5}])"));
  auto scaled = update("apps", "v1", "deployments", "default", "d",
                       R"({"kind":"Scale","apiVersion":"autoscaling/v1","metadata":{"name":"d"},"spec":{"replicas":3}})", "scale");
  ASSERT_TRUE(scaled) << scaled.error().message;
  EXPECT_EQ(review(0).string_at("kind", "kind"), "Scale");
  EXPECT_EQ(review(0).string_at("resource", "resource"), "deployments");
  EXPECT_EQ(review(0).string_at("subResource"), "scale");
  EXPECT_EQ(review(0).at("object", "spec", "replicas")->as_int(), 3);
  EXPECT_EQ(json_of(*get("apps", "v1", "deployments", "default", "d")).at("spec", "replicas")->as_int(), 5);

  ASSERT_TRUE(create("", "v1", "serviceaccounts", "default", R"({"metadata":{"name":"default"}})"));
  ASSERT_TRUE(create("", "v1", "pods", "default", R"({"metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"i:1"}]}})"));
  Action bind = make(Verb::create, "", "v1", "pods", "default", "p");
  bind.subresource = "binding";
  bind.body = R"({"kind":"Binding","apiVersion":"v1","metadata":{"name":"p"},"target":{"kind":"Node","name":"n"}})";
  auto bound = run(api_->run(std::move(bind)));
  ASSERT_TRUE(bound) << bound.error().message;
  ASSERT_EQ(asked(), 2u) << "once";
  EXPECT_EQ(review(1).string_at("kind", "kind"), "Binding");
  EXPECT_EQ(review(1).string_at("operation"), "CREATE");
}

TEST_F(AdmissionWebhooksTest, match_conditions_decide_and_may_fail) {
  validating(hook(
      "some",
      R"(,"matchConditions":[{"name":"n","expression":"object.metadata.name == 'ask' || oldObject != null"},)"
      R"-({"name":"who","expression":"request.userInfo.username == 'tester' && authorizer.requestResource.check('create').allowed()"}])-"));
  EXPECT_TRUE(config_map("no"));
  EXPECT_EQ(asked(), 0u);
  EXPECT_TRUE(config_map("ask"));
  EXPECT_EQ(asked(), 1u);
  ASSERT_TRUE(remove(group, "v1", "validatingwebhookconfigurations", "", "v"));
  validating(hook("wrong", R"(,"matchConditions":[{"name":"n","expression":"object.nothing == 1"}])"));
  EXPECT_EQ(message(config_map("z")),
            "configmaps \"z\" is forbidden: expression 'object.nothing == 1' resulted in error: no such key: nothing");
}

TEST_F(AdmissionWebhooksTest, wrong_configurations_name_their_fields) {
  EXPECT_EQ(
      configure("validatingwebhookconfigurations", "w", hook("a", R"(,"timeoutSeconds":0)")),
      "ValidatingWebhookConfiguration.admissionregistration.k8s.io \"w\" is invalid: webhooks[0].timeoutSeconds: Invalid value: 0: the "
      "timeout value must be between 1 and 30 seconds");
  EXPECT_EQ(configure("validatingwebhookconfigurations", "w", hook("a") + "," + hook("a")),
            "ValidatingWebhookConfiguration.admissionregistration.k8s.io \"w\" is invalid: webhooks[1].name: Duplicate value: "
            "\"a.hooks.example.com\"");
  const std::string said =
      configure("mutatingwebhookconfigurations", "w", hook("a", R"(,"matchConditions":[{"name":"n","expression":"variables.x"}])"));
  EXPECT_TRUE(
      said.contains("webhooks[0].matchConditions[0].expression: Invalid value: \"variables.x\": compilation failed: ERROR: "
                    "<input>:1:1: undeclared reference to 'variables'"))
      << said;
}

TEST_F(AdmissionWebhooksTest, a_webhook_that_cannot_be_reached_fails_or_is_passed_over) {
  const std::string nowhere =
      R"({"name":"n.hooks.example.com","sideEffects":"None","admissionReviewVersions":["v1"],)"
      R"("clientConfig":{"service":{"namespace":"default","name":"none"}},)"
      R"("rules":[{"operations":["*"],"apiGroups":[""],"apiVersions":["v1"],"resources":["configmaps"]}],"failurePolicy":")";
  validating(nowhere + "Fail\"}");
  EXPECT_EQ(
      message(config_map()),
      "Internal error occurred: failed calling webhook \"n.hooks.example.com\": failed to call webhook: service \"none\" not found in "
      "namespace default");
  ASSERT_TRUE(remove(group, "v1", "validatingwebhookconfigurations", "", "v")) << "configurations themselves are exempt";
  validating(nowhere + "Ignore\"}");
  EXPECT_TRUE(config_map());
}

}  // namespace
}  // namespace estiba::apiserver
