// What an HTTP/2 connection must withstand, and what it owes its streams.
#include "io/http_test_support.h"

namespace estiba::io {
namespace {

using testing::Keys;
using testing::TestServer;
using namespace std::chrono_literals;

constexpr std::string_view preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

std::string frame(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload) {
  std::string out{char(payload.size() >> 16), char(payload.size() >> 8), char(payload.size()), char(type), char(flags)};
  for (int shift = 24; shift >= 0; shift -= 8) out += char(stream >> shift);
  return out += payload;
}

// GET / by HPACK's static table.
constexpr std::string_view get_request = "\x82\x84\x86\x41\x01x";
constexpr uint8_t data = 0, headers = 1, rst = 3, settings = 4, continuation = 9, end_stream = 1, end_headers = 4;

std::string opening() { return std::string(preface) + frame(settings, 0, 0, ""); }

struct Counts {
  int started = 0, dropped = 0;
  size_t written = 0;
};

// A handler that never ends by itself.
struct Forever {
  Counts* counts;
  explicit Forever(Counts* counts) : counts(counts) { ++counts->started; }
  ~Forever() { ++counts->dropped; }
  static Task<void> go(Response& response, Counts* counts) {
    Forever mark(counts);
    EXPECT_TRUE(co_await response.start(200));
    co_await sleep_for(1h);
  }
};

TEST(Http2, RapidResetsEndTheConnection) {
  Counts counts;
  TestServer s([&](Request&, Response& response) { return Forever::go(response, &counts); });
  std::string bytes = opening();
  for (uint32_t id = 1; id < 4000; id += 2)
    bytes += frame(headers, end_stream | end_headers, id, get_request) + frame(rst, 0, id, std::string("\0\0\0\x8", 4));
  std::string answer = s.raw(bytes);
  EXPECT_FALSE(answer.starts_with("ERROR the server did not close")) << answer;
  EXPECT_LT(counts.started, 600);
  EXPECT_EQ(counts.started, counts.dropped);
}

TEST(Http2, AFloodOfContinuationsEndsTheConnection) {
  Counts counts;
  TestServer s([&](Request&, Response& response) { return Forever::go(response, &counts); });
  std::string bytes = opening() + frame(headers, end_stream, 1, get_request);
  for (int i = 0; i < 1000; ++i) bytes += frame(continuation, 0, 1, "");
  EXPECT_FALSE(s.raw(bytes).starts_with("ERROR the server did not close"));
  EXPECT_EQ(counts.started, 0);
}

TEST(Http2, AHeadThatDoesNotEndEndsTheConnection) {
  Counts counts;
  TestServer s([&](Request&, Response& response) { return Forever::go(response, &counts); }, false, {.header_timeout = 20ms});
  // A watch goes on meanwhile: that there are streams is no excuse.
  const std::string before = opening() + frame(headers, end_stream | end_headers, 1, get_request);
  EXPECT_FALSE(s.raw(before + frame(headers, end_stream, 3, get_request)).starts_with("ERROR the server did not close"));
  EXPECT_FALSE(
      s.raw(before + frame(headers, end_stream | end_headers, 3, get_request).substr(0, 12)).starts_with("ERROR the server did not close"));
  struct Wait {
    static Task<Result<void>> go(Counts* counts) {
      while (counts->dropped < counts->started) co_await sleep_for(100us);
      co_return {};
    }
  };
  EXPECT_TRUE(s.run(Wait::go(&counts)));
  EXPECT_EQ(counts.started, 2);
}

TEST(Http2, GarbageEndsTheConnection) {
  TestServer s([](Request&, Response& response) -> Task<void> {
    response.send(200);
    co_return;
  });
  for (const std::string& bytes : {std::string(preface) + "garbage garbage garbage", opening() + frame(data, 0, 1, "x"),
                                   opening() + frame(headers, end_stream | end_headers, 2, get_request),
                                   opening() + frame(headers, end_stream | end_headers, 1, "\xff\xff\xff\xff\xff\xff\xff")})
    EXPECT_FALSE(s.raw(bytes).starts_with("ERROR the server did not close")) << hex_encode(bytes);
}

TEST(Http2, TooManyHeadersAreRefusedAndOthersGoOn) {
  TestServer s(
      [](Request& request, Response& response) -> Task<void> {
        response.send(200, {}, std::string(request.headers.get("a")));
        co_return;
      },
      false, {.max_headers = 5});
  struct Run {
    static Task<Result<void>> go(TestServer* s) {
      HttpClient client({.http2_prior_knowledge = true});
      Headers many;
      for (int i = 0; i < 10; ++i) many.add("a", std::to_string(i));
      EXPECT_EQ(CO_TRY(co_await client.fetch({.url = s->url("/"), .headers = many})).status, 431);
      EXPECT_EQ(CO_TRY(co_await client.fetch({.url = s->url("/%zz")})).status, 400);
      EXPECT_EQ(CO_TRY(co_await client.fetch({.url = s->url("/"), .headers = {{"a", "1"}}})).body, "1");
      co_return {};
    }
  };
  auto done = s.run(Run::go(&s));
  EXPECT_TRUE(done) << done.error().message;
  EXPECT_EQ(s.server->stats().connections_accepted, 1u);
}

TEST(Http2, AResetDropsTheHandlerAndKeepsTheConnection) {
  Counts counts;
  TestServer s([&](Request&, Response& response) { return Forever::go(response, &counts); });
  struct Run {
    static Task<Result<void>> go(TestServer* s, Counts* counts) {
      HttpClient client({.http2_prior_knowledge = true});
      auto first = CO_TRY(co_await client.send({.url = s->url("/")}));
      auto second = CO_TRY(co_await client.send({.url = s->url("/")}));
      first.reset();
      while (counts->dropped == 0) co_await sleep_for(100us);
      EXPECT_EQ(counts->started, 2);
      EXPECT_EQ(counts->dropped, 1);
      EXPECT_EQ(s->server->stats().connections_open, 1u);
      co_return {};
    }
  };
  auto done = s.run(Run::go(&s, &counts));
  EXPECT_TRUE(done) << done.error().message;
}

Task<void> write_much(Response& response, Counts* counts) {
  EXPECT_TRUE(co_await response.start(200));
  for (int i = 0; i < 100; ++i) {
    if (!co_await response.write(std::string(64 * 1024, 'w'))) co_return;
    counts->written += 64 * 1024;
  }
  response.trailer("grpc-status", "0");
}

TEST(Http2, AWriterWaitsForASlowReader) {
  for (bool http2 : {true, false}) {
    Counts counts;
    TestServer s([&](Request&, Response& response) { return write_much(response, &counts); });
    struct Run {
      static Task<Result<size_t>> go(TestServer* s, Counts* counts, bool http2) {
        HttpClient client({.http2_prior_knowledge = http2});
        auto answer = CO_TRY(co_await client.send({.url = s->url("/")}));
        co_await sleep_for(30ms);
        if (http2) EXPECT_LT(counts->written, 2'000'000u);
        co_return CO_TRY(co_await answer->text(100'000'000)).size();
      }
    };
    auto size = s.run(Run::go(&s, &counts, http2));
    ASSERT_TRUE(size) << size.error().message;
    EXPECT_EQ(*size, 6'553'600u);
  }
}

TEST(Http2, AWriterGivesUpOnAClientThatTakesNothing) {
  for (bool http2 : {true, false}) {
    Event given_up;
    TestServer s([&](Request&, Response& response) -> Task<void> {
      struct Run {
        static Task<void> go(Response& response, Event* given_up) {
          response.give_up_after(20ms);
          EXPECT_TRUE(co_await response.start(200));
          while (co_await response.write(std::string(64 * 1024, 'w'))) continue;
          given_up->set();
        }
      };
      return Run::go(response, &given_up);
    });
    struct Run {
      static Task<Result<bool>> go(TestServer* s, Event* given_up, bool http2) {
        HttpClient client({.http2_prior_knowledge = http2});
        auto answer = CO_TRY(co_await client.send({.url = s->url("/")}));
        co_return co_await given_up->wait_for(5s);
      }
    };
    auto ended = s.run(Run::go(&s, &given_up, http2));
    ASSERT_TRUE(ended) << ended.error().message;
    EXPECT_TRUE(*ended) << http2;
  }
}

TEST(Http2, ALargeBodyWaitsForItsReader) {
  TestServer s([](Request& request, Response& response) -> Task<void> {
    struct Run {
      static Task<void> go(Request& request, Response& response) {
        co_await sleep_for(20ms);
        size_t size = 0;
        for (;;) {
          auto piece = co_await request.read_body();
          if (!piece || piece->empty()) break;
          EXPECT_LE(piece->size(), 300'000u) << "more came than the window allows";
          size += piece->size();
        }
        response.send(200, {}, std::to_string(size));
      }
    };
    return Run::go(request, response);
  });
  struct Run {
    static Task<Result<std::string>> go(TestServer* s) {
      HttpClient client({.http2_prior_knowledge = true});
      co_return CO_TRY(co_await client.fetch({.method = "PUT", .url = s->url("/"), .body = std::string(5'000'000, 'b')})).body;
    }
  };
  auto size = s.run(Run::go(&s));
  ASSERT_TRUE(size) << size.error().message;
  EXPECT_EQ(*size, "5000000");
}

TEST(Http2, DrainEndsIdleConnectionsSoon) {
  TestServer s([](Request&, Response& response) -> Task<void> {
    response.send(200);
    co_return;
  });
  struct Run {
    static Task<Result<void>> go(TestServer* s) {
      HttpClient client({.http2_prior_knowledge = true});
      CO_TRY(co_await client.fetch({.url = s->url("/")}));
      Instant before = Executor::current()->now();
      co_await s->server->drain(30s);
      EXPECT_LT(Executor::current()->now() - before, 5s);
      EXPECT_EQ(s->server->stats().connections_open, 0u);
      EXPECT_FALSE(co_await client.fetch({.url = s->url("/")}));
      co_return {};
    }
  };
  auto done = s.run(Run::go(&s));
  EXPECT_TRUE(done) << done.error().message;
}

TEST(HttpClient, AKeptConnectionThatTheServerClosedIsReplaced) {
  TestServer s(
      [](Request&, Response& response) -> Task<void> {
        response.send(200);
        co_return;
      },
      false, {.idle_timeout = 100ms});
  struct Run {
    static Task<Result<void>> go(TestServer* s) {
      HttpClient client({});
      for (int i = 0; i < 3; ++i) {
        CO_TRY(co_await client.fetch({.url = s->url("/")}));
        while (s->server->stats().connections_open != 0) co_await sleep_for(1ms);
      }
      co_return {};
    }
  };
  auto done = s.run(Run::go(&s));
  EXPECT_TRUE(done) << done.error().message;
  EXPECT_EQ(s.server->stats().connections_accepted, 3u);
}

TEST(HttpClient, ErrorsNameWhatWasAsked) {
  Loop loop;
  struct Run {
    static Task<Result<FetchResult>> go(std::string url, Duration timeout) {
      HttpClient client({});
      co_return co_await client.fetch({.url = std::move(url), .timeout = timeout});
    }
  };
  auto refused = loop.block_on(Run::go("http://127.0.0.1:1/x", 1s));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "GET http://127.0.0.1:1/x: connect to 127.0.0.1:1: Connection refused");
  EXPECT_EQ(loop.block_on(Run::go("no url", 1s)).error().code, Code::malformed);
  auto silent = Listener::tcp("127.0.0.1", 0);
  auto late = loop.block_on(Run::go("http://127.0.0.1:" + std::to_string(silent->port()) + "/", 10ms));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, Code::timeout);
}

}  // namespace
}  // namespace estiba::io
