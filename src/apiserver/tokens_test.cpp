// Tokens of every kind: service accounts', bootstrap tokens, and what OpenID Connect needs no provider for.
#include "apiserver/bootstrap_tokens.h"

#include <functional>

#include "apiserver/oidc.h"
#include "apiserver/testing/api_fixture.h"

namespace estiba::apiserver {
namespace {

struct TokensTest : ApiFixture {
  void SetUp() override {
    ApiFixture::SetUp();
    ASSERT_TRUE(create("", "v1", "serviceaccounts", "default", R"({"metadata":{"name":"default"}})"));
  }
  void bootstrap(const std::string& more, const std::string& id = "abcdef", const std::string& type = "bootstrap.kubernetes.io/token") {
    (void)remove("", "v1", "secrets", "kube-system", "bootstrap-token-" + id);
    auto made = create("", "v1", "secrets", "kube-system",
                       R"({"metadata":{"name":"bootstrap-token-)" + id + R"("},"type":")" + type +
                           R"(","stringData":{"token-id":"abcdef","token-secret":"0123456789abcdef",)" + more + "}}");
    ASSERT_TRUE(made) << made.error().message;
  }
  Result<TokenInfo> verify(std::string_view token) { return api_->authenticator().verify_token(token, {}); }
  Result<std::string> token_for(const std::string& spec) {
    Action action = make(Verb::create, "", "v1", "serviceaccounts", "default", "default");
    action.subresource = "token";
    action.body = R"({"spec":)" + spec + "}";
    auto outcome = run(api_->run(std::move(action)));
    if (!outcome) return std::unexpected(std::move(outcome.error()));
    auto doc = json::Document::parse(outcome->json);
    return std::string(doc->root().string_at("status", "token"));
  }
  static std::string claims_of(const std::string& token) { return io::peek_jwt(token)->claims; }
};

constexpr std::string_view good = "abcdef.0123456789abcdef";
constexpr const char* usable = R"("usage-bootstrap-authentication":"true")";

TEST_F(TokensTest, bootstrap_tokens_have_a_form) {
  EXPECT_TRUE(is_bootstrap_token(good));
  for (const char* bad : {"", "abcdef.0123456789abcde", "abcdef.0123456789abcdefg", "ABCDEF.0123456789abcdef", "abcdef:0123456789abcdef",
                          "abcde/.0123456789abcdef"})
    EXPECT_FALSE(is_bootstrap_token(bad)) << bad;
}

TEST_F(TokensTest, a_bootstrap_token_names_a_bootstrapper) {
  EXPECT_FALSE(verify(good)) << "there is none";
  bootstrap(std::string(usable) +
            R"(,"expiration":"2999-01-01T00:00:00Z","auth-extra-groups":"system:bootstrappers:kubeadm:default-node-token")");
  auto info = verify(good);
  ASSERT_TRUE(info) << info.error().message;
  EXPECT_EQ(info->user.name, "system:bootstrap:abcdef");
  EXPECT_EQ(info->user.groups,
            (std::vector<std::string>{"system:bootstrappers", "system:bootstrappers:kubeadm:default-node-token", "system:authenticated"}));
  EXPECT_FALSE(verify("abcdef.0123456789abcdee"));
  EXPECT_FALSE(api_->authenticator().verify_token(good, {"somebody"})) << "it is for the API alone";
}

TEST_F(TokensTest, what_is_wrong_with_a_bootstrap_token_refuses_it) {
  for (const char* more : {R"("a":"b")", R"("usage-bootstrap-authentication":"false")",
                           R"("usage-bootstrap-authentication":"true","expiration":"2001-01-01T00:00:00Z")",
                           R"("usage-bootstrap-authentication":"true","expiration":"soon")",
                           R"("usage-bootstrap-authentication":"true","auth-extra-groups":"system:masters")",
                           R"("usage-bootstrap-authentication":"true","auth-extra-groups":"system:bootstrappers:")"}) {
    bootstrap(more);
    EXPECT_FALSE(verify(good)) << more;
  }
  bootstrap(usable, "abcdef", "Opaque");
  EXPECT_FALSE(verify(good));
  bootstrap(usable, "aaaaaa");
  EXPECT_FALSE(verify("aaaaaa.0123456789abcdef")) << "its id is another";
}

TEST_F(TokensTest, bootstrap_tokens_go_when_they_expire) {
  bootstrap(R"("expiration":"2001-01-01T00:00:00Z")", "aaaaaa");
  bootstrap(R"("expiration":"2999-01-01T00:00:00Z")", "bbbbbb");
  bootstrap(usable, "cccccc");
  bootstrap(R"("expiration":"2001-01-01T00:00:00Z")", "dddddd", "Opaque");
  io::Loop loop;
  auto script = [](Task<void> cleaning, std::function<bool()> there) -> Task<void> {
    Job job(std::move(cleaning));
    for (int i = 0; i < 3000 && there(); ++i) co_await sleep_for(std::chrono::milliseconds(10));
  };
  auto there = [this] { return get("", "v1", "secrets", "kube-system", "bootstrap-token-aaaaaa").has_value(); };
  loop.block_on(script(clean_bootstrap_tokens(registry()), there));
  for (const char* id : {"aaaaaa", "bbbbbb", "cccccc", "dddddd"})
    EXPECT_EQ(get("", "v1", "secrets", "kube-system", "bootstrap-token-" + std::string(id)).has_value(), id[0] != 'a') << id;
}

TEST_F(TokensTest, a_token_may_be_bound_to_a_node) {
  ASSERT_TRUE(create("", "v1", "nodes", "", R"({"metadata":{"name":"n"}})"));
  auto token = token_for(R"({"boundObjectRef":{"kind":"Node","apiVersion":"v1","name":"n"}})");
  ASSERT_TRUE(token) << token.error().message;
  auto info = verify(*token);
  ASSERT_TRUE(info);
  EXPECT_EQ(info->user.extra["authentication.kubernetes.io/node-name"], (std::vector<std::string>{"n"}));
  EXPECT_TRUE(info->user.extra["authentication.kubernetes.io/credential-id"].at(0).starts_with("JTI="));
  ASSERT_TRUE(remove("", "v1", "nodes", "", "n"));
  EXPECT_FALSE(verify(*token));
}

TEST_F(TokensTest, who_asks_for_an_hour_and_seven_seconds_gets_a_year_with_a_warning) {
  auto pod =
      create("", "v1", "pods", "default", R"({"metadata":{"name":"p"},"spec":{"nodeName":"n","containers":[{"name":"c","image":"i"}]}})");
  ASSERT_TRUE(pod) << pod.error().message;
  auto token = token_for(R"({"expirationSeconds":3607,"boundObjectRef":{"kind":"Pod","apiVersion":"v1","name":"p"}})");
  ASSERT_TRUE(token) << token.error().message;
  EXPECT_NE(claims_of(*token).find("\"warnafter\":"), std::string::npos);
  auto info = verify(*token);
  ASSERT_TRUE(info);
  EXPECT_EQ(info->user.extra["authentication.kubernetes.io/pod-name"], (std::vector<std::string>{"p"}));
  EXPECT_EQ(info->user.extra["authentication.kubernetes.io/node-name"], (std::vector<std::string>{"n"}));
  EXPECT_EQ(claims_of(*token_for(R"({"expirationSeconds":3607})")).find("warnafter"), std::string::npos)
      << "without a pod it ends as asked";
  auto other =
      token_for(R"({"expirationSeconds":3607,"audiences":["vault"],"boundObjectRef":{"kind":"Pod","apiVersion":"v1","name":"p"}})");
  EXPECT_EQ(claims_of(*other).find("warnafter"), std::string::npos) << "nor for others than the API";
}

TEST_F(TokensTest, what_a_token_is_asked_for_must_make_sense) {
  for (const char* spec : {R"({"expirationSeconds":599})", R"({"expirationSeconds":4294967297})",
                           R"({"boundObjectRef":{"kind":"ConfigMap","apiVersion":"v1","name":"x"}})",
                           R"({"boundObjectRef":{"kind":"Secret","apiVersion":"v1"}})",
                           R"({"boundObjectRef":{"kind":"Secret","apiVersion":"apps/v1","name":"x"}})",
                           R"({"boundObjectRef":{"kind":"Secret","apiVersion":"v1","name":"none"}})"})
    EXPECT_FALSE(token_for(spec)) << spec;
}

TEST_F(TokensTest, oidc_names_the_flag_that_is_wrong) {
  auto wrong = [&](OidcOptions options) { return Oidc::make(api_->cluster(), std::move(options)).error().message; };
  EXPECT_TRUE(wrong({.issuer_url = "http://a", .client_id = "c"}).starts_with("--oidc-issuer-url must be an https URL"));
  EXPECT_TRUE(wrong({.issuer_url = "https://a"}).starts_with("--oidc-client-id"));
  EXPECT_TRUE(wrong({.issuer_url = "https://a", .client_id = "c", .signing_algs = {"none"}}).starts_with("--oidc-signing-algs: \"none\""));
  EXPECT_TRUE(wrong({.issuer_url = "https://a", .client_id = "c", .ca_pem = "x"}).starts_with("--oidc-ca-file"));
}

}  // namespace
}  // namespace estiba::apiserver
