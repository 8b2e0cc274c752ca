#include "io/grpc.h"

#include "io/http_test_support.h"

namespace estiba::io {
namespace {

using testing::TestServer;
using namespace std::chrono_literals;

std::string frame(std::string_view message, char flag = 0) {
  std::string out(1, flag);
  for (int shift = 24; shift >= 0; shift -= 8) out += char(message.size() >> shift);
  return out += message;
}

// One method a path.
Task<void> serve(Request& request, Response& response) {
  auto body = co_await request.body();
  EXPECT_TRUE(body);
  EXPECT_EQ(request.headers.get("content-type"), "application/grpc");
  EXPECT_EQ(request.headers.get("te"), "trailers");
  const std::string& path = request.path;
  const Headers type{{"Content-Type", "application/grpc"}};
  if (path == "/s/hang") co_await sleep_for(1h);
  if (path == "/s/refuse") {
    Headers fields = type;
    fields.add("grpc-status", "5");
    fields.add("grpc-message", "no%20such%20key");
    co_return response.send(200, fields);
  }
  if (path == "/s/other") co_return response.send(404, {{"Content-Type", "text/plain"}}, "not here");
  EXPECT_TRUE(co_await response.start(200, type));
  std::vector<std::string> pieces;
  if (path == "/s/echo") pieces = {body->substr(0, 3), body->substr(3)};
  if (path == "/s/many") pieces = {frame("one") + frame("") + frame("three").substr(0, 7), frame("three").substr(7)};
  if (path == "/s/late") pieces = {frame("x")};
  if (path == "/s/compressed") pieces = {frame("x", 1)};
  if (path == "/s/cut") pieces = {frame("a long message").substr(0, 8)};
  for (std::string& piece : pieces) {
    EXPECT_TRUE(co_await response.write(piece));
    co_await sleep_for(5ms);
  }
  if (path == "/s/cut") co_return response.break_off();
  response.trailer("grpc-status", path == "/s/late" ? "8" : "0");
  if (path == "/s/late") response.trailer("grpc-message", "too much");
}

struct Grpc : ::testing::Test {
  TestServer server{serve};

  Task<GrpcAnswer> call(std::string path, std::string message, Duration timeout) {
    auto made = co_await GrpcConnection::connect(*Url::parse(server.url("/")), nullptr, 5s);
    if (!made) co_return GrpcAnswer{{GrpcCode::unavailable, made.error().message, false, false}, {}};
    co_return co_await (*made)->call(std::move(path), std::move(message), {}, timeout);
  }
  GrpcAnswer ask(std::string path, std::string message = "hello", Duration timeout = 5s) {
    return server.run(call(std::move(path), std::move(message), timeout));
  }
  static Task<std::vector<std::string>> collect(Grpc* self, GrpcStatus* status) {
    auto made = co_await GrpcConnection::connect(*Url::parse(self->server.url("/")), nullptr, 5s);
    EXPECT_TRUE(made);
    auto opened = co_await (*made)->open("/s/many", "", {}, 5s);
    EXPECT_TRUE(opened.stream);
    std::vector<std::string> out;
    while (auto message = co_await opened.stream->next()) out.push_back(std::move(*message));
    *status = opened.stream->status();
    co_return out;
  }
};

TEST_F(Grpc, AMessageComesBackWhole) {
  auto answer = ask("/s/echo");
  EXPECT_TRUE(answer.status.ok()) << answer.status.message;
  EXPECT_EQ(answer.message, "hello");
  EXPECT_EQ(ask("/s/echo", std::string(2000000, 'x')).message.size(), 2000000u);
}

TEST_F(Grpc, AStreamGivesMessageAfterMessage) {
  GrpcStatus status;
  EXPECT_EQ(server.run(collect(this, &status)), (std::vector<std::string>{"one", "", "three"}));
  EXPECT_TRUE(status.ok());
  EXPECT_TRUE(status.from_server);
}

TEST_F(Grpc, TheStatusCountsWhereverItStands) {
  auto refused = ask("/s/refuse");
  EXPECT_EQ(refused.status.code, GrpcCode::not_found);
  EXPECT_EQ(refused.status.message, "no such key");
  EXPECT_TRUE(refused.status.from_server);
  auto late = ask("/s/late");
  EXPECT_EQ(late.status.code, GrpcCode::resource_exhausted);
  EXPECT_EQ(late.status.message, "too much");
}

TEST_F(Grpc, WhatIsNoAnswerIsSaid) {
  EXPECT_EQ(ask("/s/other").status.code, GrpcCode::unknown);
  EXPECT_NE(ask("/s/other").status.message.find("404"), std::string::npos);
  EXPECT_EQ(ask("/s/compressed").status.code, GrpcCode::internal);
  auto cut = ask("/s/cut");
  EXPECT_EQ(cut.status.code, GrpcCode::unavailable);
  EXPECT_FALSE(cut.status.from_server);
  EXPECT_TRUE(cut.status.sent);
}

TEST_F(Grpc, NoAnswerInTimeAndNobodyThere) {
  auto late = ask("/s/hang", "", 50ms);
  EXPECT_EQ(late.status.code, GrpcCode::deadline_exceeded);
  EXPECT_TRUE(late.status.sent) << "whether it was seen is not known";
  auto made = server.run(GrpcConnection::connect(*Url::parse("http://127.0.0.1:1/"), nullptr, 1s));
  EXPECT_FALSE(made);
}

}  // namespace
}  // namespace estiba::io
