#include "io/http_server.h"

#include "io/http_test_support.h"
#include "io/thread.h"

namespace estiba::io {
namespace {

using testing::Keys;
using testing::TestServer;
using namespace std::chrono_literals;

Task<void> api(Request& request, Response& response) {
  if (request.path == "/hello") {
    response.send(200, {{"Content-Type", "text/plain"}}, "hello\n");
  } else if (request.path == "/echo") {
    auto body = co_await request.body();
    if (!body) {
      response.send(body.error().code == Code::too_large ? 413 : 400, {}, body.error().message);
    } else {
      response.send(200, {}, std::move(*body));
    }
  } else if (request.path == "/who") {
    response.send(200, {},
                  request.peer().common_name + "/" + join(request.peer().organizations, ",") + "/" + std::to_string(request.http_version));
  } else if (request.path == "/stream") {
    if (!co_await response.start(200, {{"Content-Type", "text/plain"}})) co_return;
    for (int i = 0; i < 3; ++i) {
      if (!co_await response.write("piece " + std::to_string(i) + "\n")) co_return;
      co_await sleep_for(1ms);
    }
  } else if (request.path == "/broken") {
    if (!co_await response.start(200, {})) co_return;
    if (!co_await response.write("half")) co_return;
    response.break_off();
  } else if (request.path == "/reads") {  // with memory of its own
    std::string all, space;
    for (;;) {
      space.reserve(256 * 1024);
      auto piece = co_await request.read_body(std::move(space));
      if (!piece || piece->empty()) break;
      all += *piece;
      space = std::move(*piece);
    }
    response.send(200, {}, std::move(all));
  } else if (request.path == "/short") {
    if (!co_await response.start(200, {{"Content-Length", "10"}})) co_return;
    if (!co_await response.write("four")) co_return;
  } else if (request.path == "/large") {
    auto shared = std::make_shared<const std::string>(3'000'000, 'z');
    Body body;
    body.add(shared);
    body.add(Chunk(shared, std::string_view(*shared).substr(0, 10)));
    response.send(200, {}, std::move(body));
  } else if (request.path == "/upgrade") {
    auto stream = co_await response.upgrade(101, {{"Connection", "Upgrade"}, {"Upgrade", "echo"}});
    if (!stream) {
      response.send(400, {}, stream.error().message);
      co_return;
    }
    char buffer[100];
    for (;;) {
      auto got = co_await (*stream)->read(buffer, sizeof buffer);
      if (!got || *got == 0 || !co_await (*stream)->write({buffer, *got})) break;
    }
  } else if (request.path == "/nothing") {
    co_return;
  } else {
    response.send(404, {}, request.method + " " + request.path + " " + std::string(request.query.get("q")));
  }
}

bool has(const std::string& text, std::string_view part) { return text.find(part) != text.npos; }

TEST(Http1Server, AnswersAndKeepsTheConnection) {
  TestServer s(api);
  std::string text = s.raw(
      "GET /hello HTTP/1.1\r\nHost: x\r\n\r\nHEAD /hello HTTP/1.1\r\nHost: x\r\n\r\nGET /a%20b?q=%C3%A4+1 HTTP/1.1\r\nHost: "
      "x\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(text.starts_with("HTTP/1.1 200 OK\r\n")) << text;
  EXPECT_TRUE(has(text, "Content-Length: 6\r\n\r\nhello\nHTTP/1.1 200 OK"));
  EXPECT_TRUE(has(text, "Content-Length: 6\r\n\r\nHTTP/1.1 404"));
  EXPECT_TRUE(text.ends_with("GET /a b \xC3\xA4 1")) << text;
  EXPECT_EQ(s.server->stats().requests, 3u);
}

TEST(Http1Server, ReadsBodiesOfBothKindsWithPipelining) {
  TestServer s(api);
  std::string text = s.raw(
      "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
      "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwxyz\r\n1;ext=1\r\n!\r\n0\r\nTrailer: 1\r\n\r\n"
      "POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\nignored"
      "GET /hello HTTP/1.0\r\n\r\n");
  EXPECT_TRUE(has(text, "\r\n\r\nabcHTTP/1.1 200"));
  EXPECT_TRUE(has(text, "\r\n\r\nwxyz!HTTP/1.1 200"));
  EXPECT_TRUE(text.ends_with("Connection: close\r\n\r\nhello\n")) << text;
}

TEST(Http1Server, SendsContinueWhenTheBodyIsWanted) {
  TestServer s(api);
  std::string text = s.raw("POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1\r\nConnection: close\r\n\r\na");
  EXPECT_TRUE(text.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200")) << text;
  text = s.raw("POST /hello HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n");
  EXPECT_TRUE(text.starts_with("HTTP/1.1 200")) << text;
}

TEST(Http1Server, StreamsInChunks) {
  TestServer s(api);
  std::string text = s.raw("GET /stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(has(text, "Transfer-Encoding: chunked")) << text;
  EXPECT_TRUE(text.ends_with("8\r\npiece 0\n\r\n8\r\npiece 1\n\r\n8\r\npiece 2\n\r\n0\r\n\r\n")) << text;
  text = s.raw("GET /stream HTTP/1.0\r\n\r\n");
  EXPECT_TRUE(text.ends_with("\r\n\r\npiece 0\npiece 1\npiece 2\n")) << text;
}

TEST(Http1Server, AnAnswerShorterThanItSaidEndsTheConnection) {
  TestServer s(api);
  std::string text = s.raw("GET /short HTTP/1.1\r\nHost: x\r\n\r\nGET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(text.ends_with("\r\n\r\nfour")) << text;
}

TEST(Http1Server, AnAnswerThatBrokeOffHasNoEnd) {
  TestServer s(api);
  std::string text = s.raw("GET /broken HTTP/1.1\r\nHost: x\r\n\r\nGET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(text.ends_with("4\r\nhalf\r\n")) << text;
}

TEST(Http1Server, RefusesWhatIsMalformed) {
  TestServer s(api);
  for (const char* bad : {
           "GET\r\n\r\n",
           "GET /x HTTP/3.0\r\nHost: x\r\n\r\n",
           "GET /x y HTTP/1.1\r\nHost: x\r\n\r\n",
           "GET /x HTTP/1.1\r\n\r\n",
           "GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n",
           "GET /x HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n",
           "GET /x HTTP/1.1\r\nHost : x\r\n\r\n",
           "GET /x HTTP/1.1\r\nHost: x\r\nA: \x01\r\n\r\n",
           "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
           "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
           "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
           "POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
       }) {
    std::string text = s.raw(bad, true);
    EXPECT_TRUE(text.starts_with("HTTP/1.1 400 Bad Request\r\n")) << bad << text;
  }
  EXPECT_TRUE(s.raw("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", true).starts_with("HTTP/1.1 400"));
  EXPECT_EQ(s.server->stats().protocol_errors, 12u);
}

TEST(Http1Server, AnswersAtOnceWhatCannotBecomeARequest) {
  TestServer s(api, false, {.header_timeout = 1h, .idle_timeout = 1h});
  const std::string hello = s.raw("\x16\x03\x01\x01\x02");
  EXPECT_TRUE(hello.starts_with("HTTP/1.1 400 ") && has(hello, "TLS handshake")) << hello;
  EXPECT_TRUE(s.raw("{\"a\"").starts_with("HTTP/1.1 400 "));
  EXPECT_TRUE(s.raw("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n").starts_with("HTTP/1.1 400 "));
}

TEST(Http1Server, KeepsItsLimits) {
  HttpServerOptions options{.max_header_bytes = 1000, .max_headers = 5, .max_body_bytes = 100};
  TestServer s(api, false, options);
  EXPECT_TRUE(s.raw("GET /" + std::string(2000, 'x'), true).starts_with("HTTP/1.1 431"));
  EXPECT_TRUE(s.raw("GET / HTTP/1.1\r\nHost: x\r\na: 1\r\na: 1\r\na: 1\r\na: 1\r\na: 1\r\n\r\n", true).starts_with("HTTP/1.1 431"));
  std::string refused = s.raw("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 200000000\r\n\r\nxxx", true);
  EXPECT_TRUE(refused.starts_with("HTTP/1.1 413"));
  EXPECT_TRUE(has(refused, "Connection: close\r\n")) << "nobody reads so much: the client must not send its next request there";
  std::string chunked =
      "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n" + std::string(255, 'y') + "\r\n0\r\n\r\n";
  EXPECT_TRUE(s.raw(chunked, true).starts_with("HTTP/1.1 413"));
}

TEST(Http1Server, ClosesIdleAndSlowConnections) {
  TestServer s(api, false, {.header_timeout = 20ms, .idle_timeout = 20ms});
  EXPECT_EQ(s.raw(""), "");
  EXPECT_EQ(s.raw("GET /hel"), "");
}

struct Dropped {
  bool* flag;
  explicit Dropped(bool* flag) : flag(flag) {}
  ~Dropped() { *flag = true; }
};

TEST(HttpServer, AHandlerIsDroppedWhenItsClientLeaves) {
  for (bool tls : {false, true}) {
    for (const char* protocol : {"http/1.1", "h2"}) {
      if (!tls && protocol[0] == 'h' && protocol[1] == '2') continue;
      bool dropped = false, started = false;
      TestServer s(
          [&](Request&, Response& response) -> Task<void> {
            struct Run {
              static Task<void> go(Response& response, bool* started, bool* dropped) {
                Dropped mark(dropped);
                *started = true;
                EXPECT_TRUE(co_await response.start(200));
                co_await sleep_for(1h);
              }
            };
            return Run::go(response, &started, &dropped);
          },
          tls);
      struct Run {
        static Task<Result<void>> go(TestServer* s, const char* protocol, bool tls) {
          HttpClient client({.tls = tls ? Keys::get().client_tls({protocol}) : nullptr});
          auto answer = CO_TRY(co_await client.send({.url = s->url("/watch")}));
          EXPECT_EQ(answer->status, 200);
          answer.reset();
          for (int i = 0; i < 500 && s->server->stats().connections_open > 0; ++i) {
            if (std::string_view(protocol) == "h2") client = HttpClient({});
            co_await sleep_for(1ms);
          }
          co_return {};
        }
      };
      EXPECT_TRUE(s.run(Run::go(&s, protocol, tls)));
      EXPECT_TRUE(started && dropped) << protocol << tls;
    }
  }
}

Task<Result<void>> client_rounds(TestServer* s, TlsContextRef tls, int version) {
  HttpClient client({.tls = std::move(tls)});
  auto who = CO_TRY(co_await client.fetch({.url = s->url("/who")}));
  EXPECT_EQ(who.body, "admin/system:masters,devs/" + std::to_string(version));
  auto echoed = CO_TRY(co_await client.fetch({.method = "POST", .url = s->url("/echo"), .body = std::string(500'000, 'e')}));
  EXPECT_EQ(echoed.body.size(), 500'000u);
  auto large = CO_TRY(co_await client.fetch({.url = s->url("/large")}));
  EXPECT_EQ(large.body.size(), 3'000'010u);
  auto head = CO_TRY(co_await client.fetch({.method = "HEAD", .url = s->url("/large")}));
  EXPECT_EQ(head.headers.get("content-length"), "3000010");
  EXPECT_EQ(head.body, "");
  auto streamed = CO_TRY(co_await client.fetch({.url = s->url("/stream")}));
  EXPECT_EQ(streamed.body, "piece 0\npiece 1\npiece 2\n");
  EXPECT_FALSE(co_await client.fetch({.url = s->url("/broken")}));
  std::string text;
  for (int i = 0; text.size() < 1'000'000; ++i) text += std::to_string(i);
  auto read = CO_TRY(co_await client.fetch({.method = "POST", .url = s->url("/reads"), .body = text}));
  EXPECT_TRUE(read.body == text);
  auto answer = CO_TRY(co_await client.send({.method = "POST", .url = s->url("/reads"), .body = text}));
  std::string got, space;
  for (;;) {
    space.reserve(256 * 1024);
    space = CO_TRY(co_await answer->read(std::move(space)));
    if (space.empty()) break;
    got += space;
  }
  EXPECT_TRUE(got == text);
  answer.reset();
  auto missing = CO_TRY(co_await client.fetch({.url = s->url("/no/such?q=1")}));
  EXPECT_EQ(missing.status, 404);
  auto nothing = CO_TRY(co_await client.fetch({.url = s->url("/nothing")}));
  EXPECT_EQ(nothing.status, 500);
  auto limited = co_await client.fetch({.url = s->url("/large")}, 1000);
  EXPECT_FALSE(limited);
  // Several at once.
  TaskGroup group;
  int good = 0;
  for (int i = 0; i < 20; ++i) {
    group.start([](HttpClient* client, std::string url, int* good) -> Task<void> {
      auto answer = co_await client->fetch({.url = url});
      if (answer && answer->body == "hello\n") ++*good;
    }(&client, s->url("/hello"), &good));
  }
  co_await group.join();
  EXPECT_EQ(good, 20);
  co_return {};
}

TEST(HttpServer, ServesOurClientByHttp1) {
  TestServer s(api, true);
  auto done = s.run(client_rounds(&s, Keys::get().client_tls({"http/1.1"}, &Keys::get().admin), 11));
  EXPECT_TRUE(done) << done.error().message;
}

TEST(HttpServer, ServesOurClientByHttp2) {
  TestServer s(api, true);
  auto done = s.run(client_rounds(&s, Keys::get().client_tls({"h2", "http/1.1"}, &Keys::get().admin), 20));
  EXPECT_TRUE(done) << done.error().message;
  EXPECT_EQ(s.server->stats().connections_accepted, 1u);
}

Task<Result<std::string>> upgraded(TestServer* s, TlsContextRef tls) {
  HttpClient client({.tls = std::move(tls)});
  auto result = CO_TRY(co_await client.upgrade({.url = s->url("/upgrade"), .headers = {{"Connection", "Upgrade"}, {"Upgrade", "echo"}}}));
  EXPECT_EQ(result.status, 101);
  CO_TRY(co_await result.stream->write("ping"));
  char buffer[4];
  size_t got = CO_TRY(co_await result.stream->read(buffer, 4));
  co_return std::string(buffer, got);
}

TEST(HttpServer, UpgradesToABareStream) {
  for (bool tls : {false, true}) {
    TestServer s(api, tls);
    auto text = s.run(upgraded(&s, tls ? Keys::get().client_tls({"h2", "http/1.1"}) : nullptr));
    ASSERT_TRUE(text) << text.error().message;
    EXPECT_EQ(*text, "ping");
  }
}

TEST(HttpServer, DrainLetsRequestsFinish) {
  TestServer s(api);
  struct Run {
    static Task<std::string> go(TestServer* s) {
      std::optional<Result<std::string>> answer;
      Job request([](TestServer* s, std::optional<Result<std::string>>* out) -> Task<void> {
        out->emplace(co_await TestServer::talk(s->server->port(), "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n", false));
      }(s, &answer));
      while (s->server->stats().requests == 0) co_await sleep_for(100us);
      co_await s->server->drain(5s);
      co_await request.join();
      EXPECT_FALSE(co_await connect_tcp("127.0.0.1", s->server->port()));
      co_return *answer ? **answer : (*answer).error().message;
    }
  };
  EXPECT_TRUE(s.run(Run::go(&s)).ends_with("0\r\n\r\n"));
}

TEST(HttpServer, SpreadsConnectionsOverItsLoops) {
  LoopThread one("one"), two("two");
  HttpServer server({&one.loop(), &two.loop()}, {}, api);
  ASSERT_TRUE(server.listen_tcp("127.0.0.1", 0, nullptr));
  Loop loop;
  struct Run {
    static Task<Result<void>> go(uint16_t port) {
      for (int i = 0; i < 4; ++i) {
        auto text = CO_TRY(co_await TestServer::talk(port, "GET /hello HTTP/1.0\r\n\r\n", false));
        EXPECT_TRUE(text.ends_with("hello\n"));
      }
      co_return {};
    }
    static Task<Result<void>> drained(HttpServer* server, uint16_t port) {
      CO_TRY(co_await go(port));
      co_await server->drain(1s);
      co_return {};
    }
  };
  EXPECT_TRUE(loop.block_on(Run::drained(&server, server.port())));
}

std::string curl(const std::string& arguments) {
  std::string text;
  FILE* pipe = popen(("curl -s -S --max-time 10 " + arguments + " 2>&1").c_str(), "r");
  char buffer[4096];
  size_t got;
  while ((got = fread(buffer, 1, sizeof buffer, pipe)) > 0) text.append(buffer, got);
  pclose(pipe);
  return text;
}

TEST(HttpServer, ServesCurl) {
  if (!has(curl("--version"), "HTTP2")) GTEST_SKIP() << "needs curl with HTTP/2";
  LoopThread thread("server");
  HttpServer secure({&thread.loop()}, {}, api), plain({&thread.loop()}, {}, api);
  ASSERT_TRUE(secure.listen_tcp("127.0.0.1", 0, Keys::get().server_tls()));
  ASSERT_TRUE(plain.listen_tcp("127.0.0.1", 0, nullptr));
  std::string base = "https://127.0.0.1:" + std::to_string(secure.port()), http = "http://127.0.0.1:" + std::to_string(plain.port());
  EXPECT_EQ(curl("-k --http1.1 " + base + "/hello"), "hello\n");
  EXPECT_EQ(curl("-k --http2 -w '%{http_version}' " + base + "/hello " + base + "/hello"), "hello\n2hello\n2");
  EXPECT_EQ(curl("-k --http2 " + base + "/stream"), "piece 0\npiece 1\npiece 2\n");
  EXPECT_EQ(curl("-k --http2 -d abcdef " + base + "/echo"), "abcdef");
  EXPECT_EQ(curl("-k --http1.1 -H 'Transfer-Encoding: chunked' -d abcdef " + base + "/echo"), "abcdef");
  EXPECT_EQ(curl("-k --http2 " + base + "/large").size(), 3'000'010u);
  EXPECT_EQ(curl("-k --http2 -I -o /dev/null -w '%{http_code}' " + base + "/missing"), "404");
  EXPECT_EQ(curl("--http2-prior-knowledge " + http + "/hello"), "hello\n");
  EXPECT_TRUE(has(curl("-k --http2 -d @/usr/bin/curl -o /dev/null -w '%{http_code}' " + base + "/echo"), "200"));
}

}  // namespace
}  // namespace estiba::io
