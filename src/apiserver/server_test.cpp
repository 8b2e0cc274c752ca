// The API over HTTPS, as clients see it.
#include "apiserver/server.h"

#include <gtest/gtest.h>

#include "apiserver/testing/api_fixture.h"
#include "io/http_client.h"
#include "model/protobuf.h"

namespace estiba::apiserver {
namespace {

class ServerTest : public ApiFixture {
 protected:
  void SetUp() override {
    ApiFixture::SetUp();
    WallTime now = std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
    auto ca = io::make_ca("test", now);
    ASSERT_TRUE(ca);
    auto server = io::make_certificate(*ca, {.common_name = "s", .ip_addresses = {"127.0.0.1"}, .server = true}, now);
    auto admin = io::make_certificate(*ca, {.common_name = "admin", .organizations = {"system:masters"}, .client = true}, now);
    auto jane = io::make_certificate(*ca, {.common_name = "jane", .organizations = {"devs"}, .client = true}, now);
    ASSERT_TRUE(server && admin && jane);
    ca_pem_ = ca->certificate_pem;
    admin_ = *admin;
    jane_ = *jane;
    options_.listen_host = "127.0.0.1";
    options_.listen_port = 0;
    options_.certificate_pem = server->certificate_pem;
    options_.key_pem = server->key_pem;
    options_.client_ca_pem = ca_pem_;
    auto made = ApiServer::make(*store_, {&loop_}, options_);
    ASSERT_TRUE(made) << made.error().message;
    server_ = std::move(*made);
    auto listening = server_->listen();
    ASSERT_TRUE(listening) << listening.error().message;
    ASSERT_TRUE(loop_.block_on(server_->api().bootstrap()));
  }

  struct Answer {
    int status = 0;
    io::Headers headers;
    std::string body;
  };
  Answer ask(std::string method, std::string path, io::Headers headers = {}, std::string body = {}, const io::KeyPair* as = nullptr) {
    if (!as) as = &admin_;
    auto tls = io::make_tls_client({.ca_pem = ca_pem_, .certificate_pem = as->certificate_pem, .key_pem = as->key_pem});
    EXPECT_TRUE(tls);
    io::HttpClient client({.tls = *tls});
    auto result = loop_.block_on(client.fetch({.method = std::move(method),
                                               .url = "https://127.0.0.1:" + std::to_string(server_->port()) + path,
                                               .headers = std::move(headers),
                                               .body = io::Body(std::move(body))}));
    EXPECT_TRUE(result) << result.error().message;
    if (!result) return {};
    return {result->status, std::move(result->headers), std::move(result->body)};
  }
  const json::Node& parse(const Answer& answer) {
    auto doc = json::Document::parse(answer.body);
    EXPECT_TRUE(doc) << answer.body;
    if (doc) parsed_ = std::move(*doc);
    return parsed_.root();
  }

  io::Loop loop_;
  std::string ca_pem_;
  io::KeyPair admin_, jane_, nobody_;
  std::unique_ptr<ApiServer> server_;
};

TEST_F(ServerTest, only_known_callers_get_in) {
  EXPECT_EQ(ask("GET", "/version", {}, {}, &nobody_).status, 200);
  EXPECT_EQ(ask("GET", "/readyz", {}, {}, &nobody_).status, 200);
  EXPECT_EQ(ask("GET", "/api", {}, {}, &nobody_).status, 401);
  EXPECT_EQ(ask("GET", "/api/v1/pods", {}, {}, &nobody_).status, 401);
  EXPECT_EQ(ask("GET", "/api/v1/pods", {{"Authorization", "Bearer x.y.z"}}, {}, &nobody_).status, 401);
}

TEST_F(ServerTest, what_no_role_allows_is_denied_by_name) {
  Answer answer = ask("GET", "/api/v1/namespaces/default/pods/p", {}, {}, &jane_);
  EXPECT_EQ(answer.status, 403);
  const json::Node& status = parse(answer);
  EXPECT_EQ(status.string_at("reason"), "Forbidden");
  EXPECT_EQ(status.string_at("message"),
            "pods \"p\" is forbidden: User \"jane\" cannot get resource \"pods\" in API group \"\" in the namespace \"default\"");
  EXPECT_EQ(ask("GET", "/apis", {}, {}, &jane_).status, 200) << "everybody who is known may look around";
}

TEST_F(ServerTest, callers_act_as_others_where_they_may) {
  auto review = [&](io::Headers headers, const io::KeyPair* as) {
    headers.add("Content-Type", "application/json");
    return ask("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", std::move(headers), "{}", as);
  };
  Answer answer = review({{"Impersonate-User", "eve"}, {"Impersonate-Group", "devs"}, {"Impersonate-Extra-Scopes", "view"}}, &admin_);
  EXPECT_EQ(answer.status, 201);
  const json::Node& user = *parse(answer).at("status", "userInfo");
  EXPECT_EQ(user.string_at("username"), "eve");
  EXPECT_EQ(json::print(*user.find("groups")), R"(["devs","system:authenticated"])");
  EXPECT_EQ(json::print(*user.find("extra")), R"({"scopes":["view"]})");
  EXPECT_EQ(ask("GET", "/api/v1/secrets", {{"Impersonate-User", "eve"}}).status, 403) << "who acts as eve may what eve may";
  answer = review({{"Impersonate-User", "system:serviceaccount:a:b"}}, &admin_);
  EXPECT_NE(answer.body.find("system:serviceaccounts:a"), std::string::npos);
  answer = review({{"Impersonate-User", "admin"}, {"Impersonate-Group", "system:masters"}}, &jane_);
  EXPECT_EQ(answer.status, 403);
  EXPECT_NE(answer.body.find("User \\\"jane\\\" cannot impersonate resource \\\"users\\\""), std::string::npos) << answer.body;
  EXPECT_EQ(ask("GET", "/api", {{"Impersonate-Group", "system:masters"}}, {}, &jane_).status, 400);
}

TEST_F(ServerTest, a_missing_object_is_a_status) {
  Answer answer = ask("GET", "/apis/apps/v1/namespaces/default/deployments/web");
  EXPECT_EQ(answer.status, 404);
  EXPECT_EQ(
      answer.body,
      R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"deployments.apps \"web\" not found","reason":"NotFound",)"
      R"("details":{"name":"web","group":"apps","kind":"deployments"},"code":404})");
}

TEST_F(ServerTest, objects_are_created_and_listed_as_tables) {
  Answer made = ask("POST", "/api/v1/namespaces/default/configmaps", {{"Content-Type", "application/json"}},
                    R"({"metadata":{"name":"a"},"data":{"k":"v"}})");
  EXPECT_EQ(made.status, 201) << made.body;
  EXPECT_NE(made.body.find("\"resourceVersion\":\""), std::string::npos);
  Answer table =
      ask("GET", "/api/v1/namespaces/default/configmaps", {{"Accept", "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}});
  const json::Node& root = parse(table);
  EXPECT_EQ(root.string_at("kind"), "Table");
  EXPECT_EQ((*root.find("columnDefinitions"))[1].string_at("name"), "Data");
  EXPECT_EQ((*(*root.find("rows"))[0].find("cells"))[0].as_string(), "a");
  Answer partial =
      ask("GET", "/api/v1/namespaces/default/configmaps/a", {{"Accept", "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"}});
  EXPECT_EQ(parse(partial).find("data"), nullptr);
  EXPECT_EQ(parsed_.root().string_at("metadata", "name"), "a");
}

TEST_F(ServerTest, bodies_may_be_yaml_or_protobuf) {
  Answer made = ask("POST", "/api/v1/namespaces/default/configmaps",
                    {{"Content-Type", "application/yaml"}, {"Accept", "application/vnd.kubernetes.protobuf"}},
                    "metadata:\n  name: b\ndata:\n  k: v\n");
  EXPECT_EQ(made.status, 201) << made.body;
  EXPECT_EQ(made.headers.get("Content-Type"), "application/vnd.kubernetes.protobuf");
  ASSERT_TRUE(made.body.starts_with(std::string_view("k8s\0", 4)));
  Answer updated = ask("PUT", "/api/v1/namespaces/default/configmaps/b",
                       {{"Content-Type", "application/vnd.kubernetes.protobuf"}, {"Accept", "application/yaml"}}, made.body);
  EXPECT_EQ(updated.status, 200) << updated.body;
  EXPECT_NE(updated.body.find("kind: ConfigMap"), std::string::npos);
}

TEST_F(ServerTest, lists_as_protobuf_say_what_they_say_as_json) {
  const std::string path = "/api/v1/namespaces/default/configmaps";
  for (int i = 0; i < 300; i++)
    ask("POST", path, {{"Content-Type", "application/yaml"}},
        "metadata:\n  name: map-" + std::to_string(i) + "\n  labels: {a: b}\ndata:\n  k: " + std::string(size_t(i), 'x') + "\n");
  for (const char* query : {"", "?limit=7", "?limit=1&fieldSelector=metadata.name%3Dnobody"}) {
    Answer bytes = ask("GET", path + query, {{"Accept", "application/vnd.kubernetes.protobuf"}});
    ASSERT_EQ(bytes.headers.get("Content-Type"), "application/vnd.kubernetes.protobuf");
    auto decoded = model::from_protobuf(bytes.body);
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_EQ(decoded->root().string_at("kind"), "ConfigMapList");
    const std::string read = json::print(decoded->root());
    // What protobuf does not carry: the kinds of items; and an absent list is an empty one.
    json::Document plain = *json::Document::parse(ask("GET", path + query, {}).body);
    auto again = model::to_protobuf(plain.root(), *model::schema::find_kind("v1", "ConfigMapList"));
    ASSERT_TRUE(again);
    EXPECT_EQ(read, json::print(model::from_protobuf(*again)->root()));
  }
}

TEST_F(ServerTest, parts_of_pods_may_be_updated_by_protobuf) {
  const std::string pods = "/api/v1/namespaces/default/pods";
  ask("POST", "/api/v1/namespaces/default/serviceaccounts", {{"Content-Type", "application/yaml"}}, "metadata:\n  name: default\n");
  Answer made = ask("POST", pods, {{"Content-Type", "application/yaml"}, {"Accept", "application/vnd.kubernetes.protobuf"}},
                    "metadata:\n  name: p\nspec:\n  containers:\n  - name: c\n    image: i\n");
  ASSERT_EQ(made.status, 201) << made.body;
  for (const char* part : {"/p/ephemeralcontainers", "/p/resize"}) {
    Answer updated = ask("PUT", pods + part, {{"Content-Type", "application/vnd.kubernetes.protobuf"}}, made.body);
    EXPECT_EQ(updated.status, 200) << updated.body;
  }
}

TEST_F(ServerTest, broken_input_is_named) {
  io::Headers json_type{{"Content-Type", "application/json"}};
  EXPECT_EQ(ask("POST", "/api/v1/namespaces/default/pods", json_type, "{").status, 400);
  EXPECT_EQ(ask("POST", "/api/v1/namespaces/default/pods", json_type, "[]").status, 400);
  EXPECT_EQ(ask("POST", "/api/v1/namespaces/default/pods", json_type, R"({"kind":"Service","metadata":{"name":"a"}})").status, 400);
  EXPECT_EQ(ask("POST", "/api/v1/namespaces/default/pods", {{"Content-Type", "text/html"}}, "x").status, 415);
  EXPECT_EQ(ask("PATCH", "/api/v1/namespaces/default", json_type, "{}").status, 415) << "that is no patch";
  EXPECT_EQ(ask("PATCH", "/api/v1/namespaces/default", {{"Content-Type", "application/apply-patch+yaml"}}, "{}").status, 422)
      << "who applies says who he is";
  Answer wrong =
      ask("POST", "/apis/apps/v1/namespaces/default/deployments", json_type, R"({"metadata":{"name":"a"},"spec":{"replicas":"three"}})");
  EXPECT_EQ(wrong.status, 400);
  EXPECT_NE(wrong.body.find("cannot be handled as a Deployment: json: cannot unmarshal string into Go struct field"), std::string::npos)
      << wrong.body;
}

TEST_F(ServerTest, unknown_fields_are_told_in_a_warning_header) {
  Answer made =
      ask("POST", "/api/v1/namespaces/default/configmaps", {{"Content-Type", "application/json"}}, R"({"metadata":{"name":"a"},"dta":{}})");
  EXPECT_EQ(made.status, 201);
  EXPECT_EQ(made.headers.get("Warning"), "299 - \"unknown field \\\"dta\\\"\"");
}

TEST_F(ServerTest, a_watch_sends_what_is_there_and_ends_at_its_time) {
  ASSERT_EQ(ask("POST", "/api/v1/namespaces/default/configmaps", {}, R"({"metadata":{"name":"a"}})").status, 201);
  Answer watched = ask("GET", "/api/v1/namespaces/default/configmaps?watch=1&timeoutSeconds=1");
  EXPECT_EQ(watched.status, 200);
  EXPECT_TRUE(watched.body.starts_with(R"({"type":"ADDED","object":{)")) << watched.body;
  Answer started =
      ask("GET",
          "/api/v1/namespaces/default/"
          "configmaps?watch=1&timeoutSeconds=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true");
  EXPECT_NE(started.body.find("\"k8s.io/initial-events-end\":\"true\""), std::string::npos) << started.body;
}

TEST_F(ServerTest, aggregated_discovery_is_cached_by_its_etag) {
  io::Headers accept{{"Accept", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"}};
  Answer first = ask("GET", "/apis", accept);
  EXPECT_EQ(first.headers.get("Content-Type"), "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList");
  accept.add("If-None-Match", std::string(first.headers.get("ETag")));
  EXPECT_EQ(ask("GET", "/apis", accept).status, 304);
  EXPECT_EQ(parse(ask("GET", "/apis")).string_at("kind"), "APIGroupList");
  EXPECT_EQ(parse(ask("GET", "/api/v1")).string_at("kind"), "APIResourceList");
}

TEST_F(ServerTest, health_checks_can_be_asked_one_by_one) {
  EXPECT_EQ(ask("GET", "/readyz").body, "ok");
  EXPECT_NE(ask("GET", "/readyz?verbose").body.find("[+]store ok"), std::string::npos);
  EXPECT_EQ(ask("GET", "/readyz/ping").status, 200);
  EXPECT_EQ(ask("GET", "/readyz/nothing").status, 404);
  EXPECT_EQ(ask("GET", "/nothing").status, 404);
}

TEST_F(ServerTest, a_service_account_gets_in_with_its_token) {
  ASSERT_EQ(ask("POST", "/api/v1/namespaces/default/serviceaccounts", {}, R"({"metadata":{"name":"bot"}})").status, 201);
  Answer answered = ask("POST", "/api/v1/namespaces/default/serviceaccounts/bot/token", {}, R"({"spec":{}})");
  ASSERT_EQ(answered.status, 201) << answered.body;
  io::Headers bearer{{"Authorization", "Bearer " + std::string(parse(answered).string_at("status", "token"))}};
  Answer who = ask("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", bearer, "{}", &nobody_);
  ASSERT_EQ(who.status, 201) << who.body;
  EXPECT_EQ(parse(who).string_at("status", "userInfo", "username"), "system:serviceaccount:default:bot");
  EXPECT_EQ(ask("GET", "/api/v1/secrets", bearer, {}, &nobody_).status, 403);
}

}  // namespace
}  // namespace estiba::apiserver
