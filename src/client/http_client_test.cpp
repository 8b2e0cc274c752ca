#include "client/http_client.h"

#include <gtest/gtest.h>

#include "client/informer.h"
#include "io/http_test_support.h"

namespace estiba::client {
namespace {

using namespace std::chrono_literals;
using io::Request;
using io::Response;
using io::testing::TestServer;
using model::ObjectRef;

/// A server that records what it is asked and answers what the test says.
struct HttpClientTest : ::testing::Test {
  std::string asked, body;
  int status = 200;
  std::string answer;
  std::vector<std::string> pieces;  // of a watch
  TestServer server{[this](Request& request, Response& response) { return handle(this, &request, &response); }};
  std::unique_ptr<Client> client = make_http_client({.server = server.url(""), .bearer_token = "secret", .page = 2});

  static Task<void> handle(HttpClientTest* self, Request* request, Response* response) {
    self->asked = request->method + " " + request->target;
    auto body = co_await request->body();
    self->body = body ? *body : "";
    if (request->headers.get("Authorization") != "Bearer secret") co_return response->send(401);
    if (request->query.has("watch")) {
      EXPECT_TRUE(co_await response->start(200, {{"Content-Type", "application/json"}}));
      for (const std::string& piece : self->pieces) {
        EXPECT_TRUE(co_await response->write(piece));
        co_await sleep_for(5ms);
      }
      co_return;
    }
    if (request->query.has("limit")) co_return response->send(200, {}, self->page(request->query));
    response->send(self->status, {{"Content-Type", "application/json"}}, self->answer);
  }
  static std::string pod(const std::string& name, int revision) {
    return R"({"metadata":{"name":")" + name + R"(","namespace":"x","uid":"u","resourceVersion":")" + std::to_string(revision) + R"("}})";
  }
  std::string page(const io::Query& query) {
    const bool second = query.get("continue") == "more";
    return R"({"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"9")" + std::string(second ? "" : R"(,"continue":"more")") +
           R"(},"items":[)" + (second ? pod("c", 3) : pod("a", 1) + "," + pod("b", 2)) + "]}";
  }
};

TEST_F(HttpClientTest, AnObjectComesWithItsRevision) {
  answer = R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","namespace":"x","resourceVersion":"17"}})";
  auto got = server.run(client->get(deployments, "x", "web"));
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ(asked, "GET /apis/apps/v1/namespaces/x/deployments/web");
  EXPECT_EQ(got->revision, 17);
  EXPECT_EQ(got->meta().kind, "Deployment");
}

TEST_F(HttpClientTest, ConnectionsFromBeforeAnEpochAreNotUsedAgain) {
  auto epoch = std::make_shared<uint64_t>(0);
  client = make_http_client({.server = server.url(""), .bearer_token = "secret", .epoch = epoch});
  answer = pod("a", 1);
  const auto ask = [&] {
    EXPECT_TRUE(server.run(client->get(pods, "x", "a")));
    return server.server->stats().connections_accepted.load();
  };
  EXPECT_EQ(ask(), 1u);
  EXPECT_EQ(ask(), 1u);
  ++*epoch;
  EXPECT_EQ(ask(), 2u);
  EXPECT_EQ(ask(), 2u);
}

TEST_F(HttpClientTest, WhatManyWorkersNeedAtOnceIsKeptForTheNextTime) {
  answer = pod("a", 1);
  const auto ask_at_once = [](HttpClientTest* test) -> Task<void> {
    const auto ask = [](HttpClientTest* test) -> Task<void> { EXPECT_TRUE(co_await test->client->get(pods, "x", "a")); };
    TaskGroup all;
    for (int i = 0; i < 40; ++i) all.start(ask(test));
    co_await all.join();
  };
  server.run(ask_at_once(this));
  const uint64_t made = server.server->stats().connections_accepted;
  EXPECT_GT(made, 8u);  // the server answers one after the other: the first may be used again before the last is made
  server.run(ask_at_once(this));
  EXPECT_EQ(server.server->stats().connections_accepted, made);
}

TEST_F(HttpClientTest, AFailureCarriesTheStatus) {
  status = 409;
  answer =
      R"({"kind":"Status","apiVersion":"v1","status":"Failure","message":"pods \"p\" already exists","reason":"AlreadyExists","details":{"name":"p","kind":"pods"},"code":409})";
  auto made = server.run(client->create(pods, "x", "{}", {.field_manager = "me"}));
  ASSERT_FALSE(made);
  EXPECT_EQ(asked, "POST /api/v1/namespaces/x/pods?fieldManager=me");
  EXPECT_EQ(made.error().code, Code::already_exists);
  EXPECT_EQ(made.error().message, "pods \"p\" already exists");
  EXPECT_EQ(made.error().details->name, "p");
  status = 502;
  answer = "bad gateway";
  EXPECT_EQ(server.run(client->get(pods, "x", "p")).error().code, Code::unavailable);
}

TEST_F(HttpClientTest, AListIsReadPageByPageAndItsItemsKnowTheirKind) {
  auto all = server.run(client->list(pods, "x", {.label_selector = "app=web"}));
  ASSERT_TRUE(all) << all.error().message;
  ASSERT_EQ(all->items.size(), 3u);
  EXPECT_EQ(all->revision, 9);
  EXPECT_EQ(all->items[2].meta().name, "c");
  EXPECT_EQ(all->items[0].meta().kind, "Pod");
  EXPECT_EQ(all->items[0].meta().api_version, "v1");
  EXPECT_EQ(all->items[1].revision, 2);
}

TEST_F(HttpClientTest, WatchEventsMayComeInAnyPieces) {
  const std::string line = R"({"type":"ADDED","object":)" + pod("a", 10) + "}\n";
  pieces = {line.substr(0, 20), line.substr(20) + line.substr(0, 5), line.substr(5),
            R"({"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"30"}}})"
            "\n"
            R"({"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"too old"}})"
            "\n"};
  auto stream = server.run(client->watch(pods, "", 5));
  ASSERT_TRUE(stream) << stream.error().message;
  EXPECT_TRUE(asked.starts_with("GET /api/v1/pods?")) << asked;
  std::vector<int64_t> revisions;
  for (;;) {
    auto batch = server.run((*stream)->next());
    if (!batch) {
      EXPECT_EQ(batch.error().code, Code::gone);
      break;
    }
    for (const WatchEvent& event : *batch) revisions.push_back(event.object.revision);
  }
  EXPECT_EQ(revisions, (std::vector<int64_t>{10, 10, 30}));
}

TEST_F(HttpClientTest, AWatchThatEndsIsUnavailable) {
  auto stream = server.run(client->watch(pods, "", 5));
  ASSERT_TRUE(stream);
  EXPECT_EQ(server.run((*stream)->next()).error().code, Code::unavailable);
}

TEST_F(HttpClientTest, DeletionSaysItsConditions) {
  answer = R"({"kind":"Status","status":"Success"})";
  ASSERT_TRUE(server.run(client->remove(pods, "x", "p", {.grace_seconds = 0, .propagation = "Background", .uid = "u"})));
  EXPECT_EQ(asked, "DELETE /api/v1/namespaces/x/pods/p");
  EXPECT_EQ(
      body,
      R"({"kind":"DeleteOptions","apiVersion":"v1","gracePeriodSeconds":0,"propagationPolicy":"Background","preconditions":{"uid":"u"}})");
}

TEST_F(HttpClientTest, APatchSaysItsTypeAndSubresource) {
  answer = pod("p", 4);
  ASSERT_TRUE(server.run(client->patch(pods, "x", "p", PatchType::merge, R"({"status":{}})", {.subresource = "status"})));
  EXPECT_EQ(asked, "PATCH /api/v1/namespaces/x/pods/p/status");
}

}  // namespace
}  // namespace estiba::client
