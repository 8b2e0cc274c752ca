#include "io/grpc_server.h"

#include "io/http_test_support.h"

namespace estiba::io {
namespace {

using testing::TestServer;
using namespace std::chrono_literals;

Task<GrpcAnswer> echo(std::string message) { co_return GrpcAnswer{{}, std::move(message)}; }
Task<GrpcAnswer> refuse(std::string) { co_return GrpcAnswer{grpc_status(Error{Code::not_found, 0, "no “thing”: 100%\n", nullptr}), {}}; }
Task<GrpcStatus> count(GrpcServerCall& call) {
  for (int i = 0; i < 3; ++i)
    if (!co_await call.send(call.message + std::to_string(i))) co_return GrpcStatus{};
  co_return GrpcStatus{GrpcCode::out_of_range, "no more"};
}
Task<GrpcStatus> nothing(GrpcServerCall&) { co_return GrpcStatus{}; }

struct GrpcServing : ::testing::Test {
  Event started, go_on, ended;
  static Task<GrpcAnswer> last(GrpcServing* self) {
    self->started.set();
    co_await self->go_on.wait();
    self->ended.set();
    co_return GrpcAnswer{};
  }
  GrpcServer grpc{{{"/t.S/Echo", {.unary = echo, .stream = {}}},
                   {"/t.S/Refuse", {.unary = refuse, .stream = {}}},
                   {"/t.S/Count", {.unary = {}, .stream = count}},
                   {"/t.S/Nothing", {.unary = {}, .stream = nothing}},
                   {"/t.S/Last", {.unary = [this](std::string) { return last(this); }, .lasting = true, .stream = {}}}}};
  TestServer server{[this](Request& request, Response& response) { return grpc.serve(request, response); }};

  static Task<std::unique_ptr<GrpcConnection>> connect(GrpcServing* self) {
    auto made = co_await GrpcConnection::connect(*Url::parse(self->server.url("/")), nullptr, 5s);
    EXPECT_TRUE(made);
    co_return std::move(*made);
  }
  static Task<GrpcAnswer> call(GrpcServing* self, std::string path, std::string message) {
    auto connection = co_await connect(self);
    co_return co_await connection->call(std::move(path), std::move(message), {}, 5s);
  }
  GrpcAnswer ask(std::string path, std::string message = "hello") { return server.run(call(this, std::move(path), std::move(message))); }
};

TEST_F(GrpcServing, OneMessageIsAnsweredByOne) {
  EXPECT_EQ(ask("/t.S/Echo").message, "hello");
  auto empty = ask("/t.S/Echo", "");
  EXPECT_TRUE(empty.status.ok()) << empty.status.message;
  EXPECT_EQ(ask("/t.S/Echo", std::string(3 << 20, 'x')).message.size(), size_t(3 << 20));
}

TEST_F(GrpcServing, ErrorsHaveTheirCodeAndText) {
  auto refused = ask("/t.S/Refuse");
  EXPECT_EQ(refused.status.code, GrpcCode::not_found);
  EXPECT_EQ(refused.status.message, "no “thing”: 100%\n");
  EXPECT_EQ(ask("/t.S/Other").status.code, GrpcCode::unimplemented);
}

TEST_F(GrpcServing, AStreamOfAnswersEndsWithAStatus) {
  GrpcStatus status;
  auto collect = [](GrpcServing* self, std::string path, GrpcStatus* status) -> Task<std::vector<std::string>> {
    auto connection = co_await connect(self);
    auto opened = co_await connection->open(std::move(path), "n", {}, 5s);
    std::vector<std::string> out;
    EXPECT_TRUE(opened.stream);
    while (auto message = co_await opened.stream->next()) out.push_back(std::move(*message));
    *status = opened.stream->status();
    co_return out;
  };
  EXPECT_EQ(server.run(collect(this, "/t.S/Count", &status)), (std::vector<std::string>{"n0", "n1", "n2"}));
  EXPECT_EQ(status.code, GrpcCode::out_of_range);
  EXPECT_EQ(status.message, "no more");
  EXPECT_TRUE(server.run(collect(this, "/t.S/Nothing", &status)).empty());
  EXPECT_TRUE(status.ok());
}

TEST_F(GrpcServing, WhatLastsGoesOnWithoutItsClient) {
  server.run([](GrpcServing* self) -> Task<bool> {
    {
      Job caller([](GrpcServing* self) -> Task<void> { (void)co_await call(self, "/t.S/Last", ""); }(self));
      co_await self->started.wait();
    }
    co_await sleep_for(20ms);  // the server sees that the client has gone
    EXPECT_FALSE(self->ended.is_set());
    self->go_on.set();
    co_await self->grpc.settle();
    EXPECT_TRUE(self->ended.is_set());
    co_return true;
  }(this));
}

TEST_F(GrpcServing, WhatIsNoCallIsRefused) {
  EXPECT_NE(server.raw("POST /t.S/Echo HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").find(" 415 "),
            std::string::npos);
  server.run([](GrpcServing* self) -> Task<bool> {
    auto stream = co_await connect_tcp("127.0.0.1", self->server.server->port());
    EXPECT_TRUE(stream);
    auto http = std::make_shared<Http2ClientConnection>(std::move(*stream), 1min);
    http->start();
    for (auto [body, code] :
         {std::pair(std::string("\0\0\0\0", 4), "13"), {std::string("\0\0\0\0\x02x", 6), "13"}, {std::string("\1\0\0\0\0", 5), "12"}}) {
      auto answer =
          co_await http->send("POST", *Url::parse(self->server.url("/t.S/Echo")), {{"content-type", "application/grpc+proto"}}, Body(body));
      EXPECT_TRUE(answer);
      if (answer) EXPECT_EQ((*answer)->headers.get("grpc-status"), code);
    }
    co_return true;
  }(this));
}

}  // namespace
}  // namespace estiba::io
