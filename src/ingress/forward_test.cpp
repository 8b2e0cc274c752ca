#include "ingress/forward.h"

#include <gtest/gtest.h>

#include "ingress/balance.h"
#include "io/http_answer.h"
#include "io/http_test_support.h"

namespace estiba::ingress {
namespace {

using namespace std::chrono_literals;
using io::Request;
using io::Response;

TEST(LeastBusy, takes_the_one_with_the_fewest_requests) {
  auto a = std::make_shared<Endpoint>("a"), b = std::make_shared<Endpoint>("b"), c = std::make_shared<Endpoint>("c");
  a->active = 2;
  b->active = 1;
  c->active = 3;
  EXPECT_EQ(least_busy({a, b, c}, {}), b);
  EXPECT_EQ(least_busy({a, b, c}, {b}), a);
  EXPECT_EQ(least_busy({a}, {a}), nullptr);
  EXPECT_EQ(least_busy({}, {}), nullptr);
  a->active = b->active = c->active = 0;
  std::set<EndpointPtr> seen;
  for (int i = 0; i < 200; ++i) seen.insert(least_busy({a, b, c}, {}));
  EXPECT_EQ(seen.size(), 3u) << "equals take turns";
}

TEST(LeastBusy, takes_those_that_could_not_be_reached_last) {
  auto a = std::make_shared<Endpoint>("a"), b = std::make_shared<Endpoint>("b"), c = std::make_shared<Endpoint>("c");
  const Instant now = Instant() + 1h;
  a->health.unreachable(now);
  b->active = 5;
  for (int i = 0; i < 50; ++i) EXPECT_EQ(least_busy({a, b}, {}, now), b);
  EXPECT_EQ(least_busy({a, b}, {b}, now), a) << "better than none";
  EXPECT_EQ(least_busy({a}, {}, now), a);
  EXPECT_EQ(least_busy({a, b}, {}, now + 10s), a) << "it has another chance";
  EXPECT_EQ(least_busy({a, b, c}, {}, now), c);
}

TEST(LeastBusy, takes_ejected_ones_after_the_others_unless_most_are) {
  auto a = std::make_shared<Endpoint>("a"), b = std::make_shared<Endpoint>("b"), c = std::make_shared<Endpoint>("c");
  const Instant now = Instant() + 1h;
  const EjectionRule rule{.after = 1};
  a->health.failed(rule, now);
  b->active = 5;
  for (int i = 0; i < 50; ++i) EXPECT_EQ(least_busy({a, b}, {}, now), b);
  EXPECT_EQ(least_busy({a, b}, {b}, now), a) << "better than none";
  c->health.unreachable(now);
  EXPECT_EQ(least_busy({a, c}, {}, now), a) << "before one that cannot be reached";
  b->health.failed(rule, now);
  b->active = 1;
  EXPECT_EQ(least_busy({a, b}, {}, now), a) << "when most are ejected it counts for nothing";
}

TEST(ByWeight, shares_by_weight) {
  const std::vector<Backend> backends = {{.weight = 9}, {.weight = 0}, {.weight = 1}};
  EXPECT_EQ(sum_of_weights(backends), 10u);
  std::map<const Backend*, int> counts;
  for (uint64_t draw = 0; draw < 10; ++draw) ++counts[by_weight(backends, draw)];
  EXPECT_EQ(counts[&backends[0]], 9);
  EXPECT_EQ(counts[&backends[1]], 0);
  EXPECT_EQ(counts[&backends[2]], 1);
}

// A backend, and the proxy before it, on one loop.
struct ForwardTest : ::testing::Test {
  static constexpr uint16_t port = 8080;
  io::Loop loop;
  std::optional<Forwarder> forwarder{200ms};  // ends on the loop, like its connections
  std::vector<std::string> mirrored;
  std::deque<int> script;           // the codes of the next answers at /scripted
  std::vector<std::string> bodies;  // that came there
  io::HttpServer backend{{&loop}, {}, [this](Request& request, Response& response) { return answer(this, request, response); }};
  io::HttpServer front{{&loop}, {}, [this](Request& request, Response& response) { return forwarder->serve(port, request, response); }};

  static Task<void> answer(ForwardTest* self, Request& request, Response& response) {
    if (request.path == "/hang") co_await sleep_for(1h);
    if (request.path == "/slow-body") {
      if (!co_await response.start(200)) co_return;
      if (!co_await response.write("half")) co_return;
      co_await sleep_for(1h);
    }
    if (request.path == "/t.S/Talk") {
      // Speaks first, then says what it hears.
      if (!co_await response.start(200, {{"Content-Type", "application/grpc"}}) || !co_await response.write("welcome;")) co_return;
      for (;;) {
        auto piece = co_await request.read_body();
        if (!piece) co_return response.break_off();
        if (piece->empty()) break;
        if (!co_await response.write(*piece + ";")) co_return;
      }
      response.trailer("grpc-status", "0");
      co_return;
    }
    if (request.path == "/t.S/Refuse") co_return response.send(200, {{"Content-Type", "application/grpc"}, {"grpc-status", "7"}});
    if (request.wants_upgrade()) {
      auto stream = co_await response.upgrade(101, {{"Connection", "Upgrade"}, {"Upgrade", "echo"}});
      if (!stream) co_return;
      char buffer[64];
      for (;;) {
        auto got = co_await (*stream)->read(buffer, sizeof buffer);
        if (!got || *got == 0 || !co_await (*stream)->write({buffer, *got})) co_return;
      }
    }
    auto body = co_await request.body();
    if (request.path == "/scripted") {
      self->bodies.push_back(body ? *body : body.error().message);
      const int status = self->script.empty() ? 200 : self->script.front();
      if (!self->script.empty()) self->script.pop_front();
      co_return response.send(status, {}, "answer " + std::to_string(self->bodies.size()));
    }
    std::string seen = request.method + " " + request.target + "\nversion: " + std::to_string(request.http_version) + "\n";
    if (request.http_version == 20) seen += "authority: " + request.host + "\n";
    for (const io::Header& header : request.headers) seen += to_lower(header.name) + ": " + header.value + "\n";
    seen += "body: " + (body ? *body : body.error().message);
    if (request.headers.has("X-Mirror")) self->mirrored.push_back(seen);
    response.send(200, {{"X-Answer", "yes"}}, seen);
  }

  void SetUp() override {
    ASSERT_TRUE(backend.listen_tcp("127.0.0.1", 0, nullptr));
    ASSERT_TRUE(front.listen_tcp("127.0.0.1", 0, nullptr));
  }
  void TearDown() override { loop.block_on(end(this)); }
  static Task<void> end(ForwardTest* self) {
    self->forwarder.reset();
    co_return;
  }
  EndpointPtr there() const { return std::make_shared<Endpoint>("127.0.0.1:" + std::to_string(backend.port())); }
  static EndpointPtr nobody() { return std::make_shared<Endpoint>("127.0.0.1:1"); }
  Backend good() const { return {.endpoints = {there()}}; }
  Backend http2() const { return {.endpoints = {std::make_shared<Endpoint>(there()->address, true)}}; }

  void serve(Action action, Match match = {}) {
    auto listener = std::make_shared<Listener>();
    listener->routes.add("", {.match = std::move(match), .action = std::make_shared<Action>(std::move(action))});
    listener->routes.seal();
    auto config = std::make_shared<Config>();
    config->ports[port].listeners.push_back(std::move(listener));
    forwarder->set_config(std::move(config));
  }
  io::FetchResult fetch(io::ClientRequest request) {
    request.url = "http://127.0.0.1:" + std::to_string(front.port()) + request.url;
    io::HttpClient client({});
    auto got = loop.block_on(client.fetch(std::move(request)));
    return got ? *got : io::FetchResult{.status = -1, .body = got.error().message};
  }
  io::FetchResult get(std::string target) { return fetch({.url = std::move(target)}); }
  static bool says(const io::FetchResult& answer, std::string_view line) { return answer.body.find(line) != std::string::npos; }
};

TEST_F(ForwardTest, passes_requests_on_and_says_who_asked) {
  serve({.backends = {good()}});
  auto answer = fetch(
      {.method = "POST", .url = "/a/b?x=%20", .headers = {{"Host", "Shop.example"}, {"X-Forwarded-For", "1.2.3.4"}}, .body = "hello"});
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.headers.get("X-Answer"), "yes");
  for (std::string_view line : {"POST /a/b?x=%20\n", "host: Shop.example\n", "x-forwarded-for: 1.2.3.4, 127.0.0.1\n",
                                "x-forwarded-proto: http\n", "x-forwarded-host: Shop.example\n", "x-forwarded-port: 8080\n", "body: hello"})
    EXPECT_TRUE(says(answer, line)) << line << answer.body;
}

TEST_F(ForwardTest, answers_itself_where_there_is_nothing_to_pass_to) {
  serve({.backends = {good()}}, {.path = "/there"});
  EXPECT_EQ(get("/elsewhere").status, 404);
  serve({.backends = {{}}});
  EXPECT_EQ(get("/").status, 503);
  serve({.backends = {{.invalid = true}}});
  EXPECT_EQ(get("/").status, 500);
  serve({.backends = {{.weight = 0, .endpoints = {there()}}}});
  EXPECT_EQ(get("/").status, 500);
  serve({.backends = {{.endpoints = {nobody()}}}});
  EXPECT_EQ(get("/").status, 502);
}

TEST_F(ForwardTest, another_endpoint_takes_the_place_of_one_that_is_gone) {
  auto gone = nobody(), here = there();
  here->active = 1;  // so that the one that is gone is asked first
  serve({.backends = {{.endpoints = {gone, here}}}});
  EXPECT_EQ(get("/").status, 200);
  EXPECT_EQ(fetch({.method = "POST", .url = "/"}).status, 200) << "the connection was not made, so nothing can have happened";
  EXPECT_EQ(gone->active, 0);
  EXPECT_EQ(here->active, 1);
  const Instant now = std::chrono::steady_clock::now();
  EXPECT_TRUE(gone->health.is_unreachable(now)) << "others are asked first for a while";
  EXPECT_FALSE(here->health.is_unreachable(now));
}

TEST_F(ForwardTest, requests_are_sent_again_after_the_answers_that_a_route_names) {
  const Retry retry{.codes = {503, 429}, .attempts = 2, .backoff = 1ms};
  serve({.backends = {good()}, .retry = retry});
  script = {503, 429};
  auto answer = fetch({.method = "POST", .url = "/scripted", .body = "hello"});
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, "answer 3");
  EXPECT_EQ(bodies, std::vector<std::string>(3, "hello")) << "whatever the method: the route says so";
  script = {503, 503, 503, 503};
  EXPECT_EQ(get("/scripted").status, 503) << "the last answer is passed on";
  EXPECT_EQ(script.size(), 1u);
  script = {500};
  EXPECT_EQ(get("/scripted").status, 500) << "not one that it names";
}

TEST_F(ForwardTest, bodies_that_are_too_long_to_be_held_are_sent_once) {
  serve({.backends = {good()}, .retry = {.codes = {503}, .attempts = 3}});
  script = {503};
  const std::string body(1024 * 1024 + 1, 'x');
  EXPECT_EQ(fetch({.method = "PUT", .url = "/scripted", .body = body}).status, 503);
  EXPECT_EQ(bodies.size(), 1u);
}

TEST_F(ForwardTest, attempts_that_get_no_answer_count_as_well) {
  auto gone = nobody(), here = there();
  here->active = 1;  // so that the one that is gone is asked first
  serve({.backends = {{.endpoints = {gone, here}}}, .retry = {.attempts = 1}});
  EXPECT_EQ(fetch({.method = "PATCH", .url = "/", .body = "x"}).status, 200);
  serve({.backends = {{.endpoints = {nobody()}}}, .retry = {.attempts = 2}});
  EXPECT_EQ(get("/").status, 502);
  serve({.backends = {good()}, .request_timeout = 150ms, .backend_timeout = 20ms, .retry = {.attempts = 1}});
  EXPECT_EQ(get("/hang").status, 504);
}

TEST_F(ForwardTest, an_endpoint_that_fails_again_and_again_is_passed_over) {
  auto bad = there(), good = there();
  good->active = 100;  // so that the other one is asked first
  serve({.backends = {{.endpoints = {bad, good}, .ejection = {.after = 3}}}});
  script = {500, 503, 200, 500, 500};
  for (int i = 0; i < 5; ++i) get("/scripted");
  EXPECT_FALSE(bad->health.is_ejected(std::chrono::steady_clock::now())) << "not in a row";
  script = {502};
  get("/scripted");
  EXPECT_TRUE(bad->health.is_ejected(std::chrono::steady_clock::now()));
  bad->active = 200;  // would be seen if it were asked
  script = {500, 500, 500};
  for (int i = 0; i < 3; ++i) get("/scripted");
  EXPECT_TRUE(good->health.is_ejected(std::chrono::steady_clock::now()));
}

TEST_F(ForwardTest, a_client_whose_body_breaks_off_is_not_the_endpoints_fault) {
  auto endpoint = there();
  serve({.backends = {{.endpoints = {endpoint}, .ejection = {.after = 1}}}});
  struct Run {
    static Task<void> go(uint16_t port) {
      auto stream = co_await io::connect_tcp("127.0.0.1", port);
      if (!stream) co_return;
      (void)co_await (*stream)->write("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\nno size\r\n");
      char answer[256];
      const auto got = co_await with_timeout(5s, (*stream)->read(answer, sizeof answer));
      EXPECT_TRUE(got && *got && std::string_view(answer, **got).starts_with("HTTP/1.1 502 "));
    }
  };
  loop.block_on(Run::go(front.port()));
  EXPECT_FALSE(endpoint->health.is_ejected(std::chrono::steady_clock::now()));
}

TEST_F(ForwardTest, a_client_that_sends_more_than_it_may_is_told_when_to_come_again) {
  auto limit = std::make_shared<RateLimit>(Rate{.interval = 1h, .burst = 2});
  serve({.backends = {good()}, .limit = limit});
  EXPECT_EQ(get("/").status, 200);
  EXPECT_EQ(get("/").status, 200);
  const auto refused = get("/");
  EXPECT_EQ(refused.status, 429);
  const auto seconds = parse_number<int>(refused.headers.get("Retry-After"));
  ASSERT_TRUE(seconds);
  EXPECT_LE(*seconds, 3600);
  EXPECT_GT(*seconds, 3000);
  serve({.backends = {good()}, .limit = limit});
  EXPECT_EQ(get("/").status, 429) << "another configuration, the same count";
  serve({.backends = {good()}});
  EXPECT_EQ(get("/").status, 200);
}

TEST_F(ForwardTest, endpoints_that_hang_are_given_up) {
  serve({.backends = {good()}});
  EXPECT_EQ(get("/hang").status, 504) << "the proxy's own patience";
  serve({.backends = {good()}, .request_timeout = 50ms});
  EXPECT_EQ(get("/hang").status, 504);
  serve({.backends = {good()}, .backend_timeout = 50ms});
  EXPECT_EQ(get("/hang").status, 504);
  serve({.backends = {good()}, .request_timeout = 50ms});
  EXPECT_EQ(get("/slow-body").status, -1) << "what has begun is broken off";
}

TEST_F(ForwardTest, header_fields_are_changed_both_ways) {
  Action action{.backends = {good()}};
  action.filters.request = {.set = {{"X-Set", "new"}}, .add = {{"X-Add", "more"}}, .remove = {"x-gone"}};
  action.filters.response = {.set = {{"X-Answer", "changed"}}, .add = {{"X-Back", "1"}}};
  action.backends[0].filters.request.add = {{"X-Of-Backend", "yes"}};
  serve(std::move(action));
  auto answer = fetch({.url = "/", .headers = {{"X-Set", "old"}, {"X-Add", "first"}, {"X-Gone", "x"}}});
  for (std::string_view line : {"x-set: new\n", "x-add: first\n", "x-add: more\n", "x-of-backend: yes\n"})
    EXPECT_TRUE(says(answer, line)) << line;
  EXPECT_FALSE(says(answer, "x-gone")) << answer.body;
  EXPECT_EQ(answer.headers.get("X-Answer"), "changed");
  EXPECT_EQ(answer.headers.get("X-Back"), "1");
}

TEST_F(ForwardTest, rewrites_and_redirects) {
  Action action{.backends = {good()}};
  action.filters.rewrite = std::make_shared<Rewrite>("inner.example", PathChange{PathChange::Kind::prefix, "/new"});
  serve(std::move(action), {.path = "/old"});
  auto answer = get("/old/x?q=1");
  EXPECT_TRUE(says(answer, "GET /new/x?q=1\n") && says(answer, "host: inner.example\n")) << answer.body;

  Action away;
  away.filters.redirect = std::make_shared<Redirect>(Redirect{.scheme = "https", .status = 301});
  serve(std::move(away));
  answer = fetch({.url = "/p", .headers = {{"Host", "shop.example"}}});
  EXPECT_EQ(answer.status, 301);
  EXPECT_EQ(answer.headers.get("Location"), "https://shop.example/p");
}

TEST_F(ForwardTest, mirrors_get_a_copy) {
  Action action{.backends = {good()}};
  action.filters.request.set = {{"X-Mirror", "1"}};
  action.filters.mirrors.push_back({.backend = std::make_shared<Backend>(good())});
  serve(std::move(action));
  EXPECT_EQ(fetch({.method = "POST", .url = "/m", .body = "copied"}).status, 200);
  auto copies = [&] {
    return std::ranges::count_if(mirrored,
                                 [](const std::string& one) { return one.starts_with("POST /m\n") && one.ends_with("body: copied"); });
  };
  for (int i = 0; i < 1000 && copies() < 2; ++i) get("/wait");  // the copy goes its own way
  EXPECT_EQ(copies(), 2);
}

TEST_F(ForwardTest, endpoints_that_speak_http2_are_spoken_to_in_it) {
  serve({.backends = {http2()}});
  for (int i = 0; i < 3; ++i) {
    auto answer = fetch({.method = "POST", .url = "/a?b=c", .headers = {{"Host", "shop.example"}, {"TE", "trailers"}}, .body = "hello"});
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.headers.get("X-Answer"), "yes");
    for (std::string_view line :
         {"POST /a?b=c\n", "version: 20\n", "authority: shop.example\n", "te: trailers\n", "x-forwarded-for: 127.0.0.1\n", "body: hello"})
      EXPECT_TRUE(says(answer, line)) << line << answer.body;
  }
  const std::string large(3 * 1024 * 1024 - 100, 'x');
  EXPECT_TRUE(fetch({.method = "PUT", .url = "/", .body = large}).body.ends_with(large));
  EXPECT_EQ(fetch({.method = "HEAD", .url = "/"}).status, 200);
  EXPECT_EQ(get("/hang").status, 504);
  serve({.backends = {http2()}, .request_timeout = 50ms});
  EXPECT_EQ(get("/slow-body").status, -1) << "what has begun is broken off";
  serve({.backends = {{.endpoints = {std::make_shared<Endpoint>("127.0.0.1:1", true)}}}});
  EXPECT_EQ(get("/").status, 502);
}

// Sends its second piece once the other side's answer to the first has come.
struct Talk final : io::BodyStream {
  int sent = 0;
  Event heard;
  Talk() { length = unknown; }
  Task<Result<std::string>> next(std::string) override {
    if (sent > 0) co_await heard.wait();
    heard.reset();
    co_return ++sent <= 2 ? "piece" + std::to_string(sent) : "";
  }
};

TEST_F(ForwardTest, grpc_passes_both_ways_at_once_with_its_status) {
  serve({.backends = {http2()}});
  struct Run {
    static Task<std::string> go(std::string url) {
      io::HttpClient client({.http2_prior_knowledge = true});
      auto body = std::make_shared<Talk>();
      auto answer = co_await client.send({.method = "POST",
                                          .url = url + "/t.S/Talk",
                                          .headers = {{"Content-Type", "application/grpc"}, {"TE", "trailers"}},
                                          .stream = body});
      if (!answer) co_return answer.error().message;
      std::string all;
      for (;;) {
        auto piece = co_await (*answer)->read();
        if (!piece) co_return all + piece.error().message;
        if (piece->empty()) break;
        all += *piece;
        if (!all.ends_with("welcome;")) body->heard.set();
      }
      co_return all + " status " + std::string(io::http_answer(**answer).trailers().get("grpc-status"));
    }
    static Task<std::string> refused(std::string url) {
      io::HttpClient client({.http2_prior_knowledge = true});
      auto answer = co_await client.send(
          {.method = "POST", .url = url + "/t.S/Refuse", .headers = {{"Content-Type", "application/grpc"}}, .body = "x"});
      if (!answer) co_return answer.error().message;
      // Where there are no trailers the stream must end with the head: gRPC's clients take nothing else for a status.
      const bool ended = io::http_answer(**answer).at_hand();
      co_return std::string((*answer)->headers.get("grpc-status")) + (ended ? " ended" : "");
    }
  };
  const std::string url = "http://127.0.0.1:" + std::to_string(front.port());
  EXPECT_EQ(loop.block_on(Run::go(url)), "welcome;piece1;piece2; status 0");
  EXPECT_EQ(loop.block_on(Run::refused(url)), "7 ended");
}

// Bytes to the proxy, and all that it answers until it closes.
static Task<std::string> raw(uint16_t port, std::string bytes) {
  auto stream = co_await io::connect_tcp("127.0.0.1", port);
  if (!stream || !co_await (*stream)->write(bytes)) co_return "no connection";
  auto all = co_await with_timeout(5s, io::read_all(**stream, 1 << 20));
  co_return all && *all ? **all : "does not end";
}

TEST_F(ForwardTest, a_request_has_one_end_before_and_behind_the_proxy) {
  serve({.backends = {good()}});
  const std::string head = "POST /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n";
  struct Case {
    std::string rest, status, body;
  };
  for (const auto& [rest, status, body] :
       {Case{"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"},
        Case{"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "400"}, Case{"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", "400"},
        Case{"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", "400"}, Case{"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", "400"},
        Case{"X: y\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"}, Case{"Content-Length: +5\r\n\r\nhello", "400"},
        Case{"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "200", "body: hello"},
        Case{"Connection: content-length, x-mine\r\nX-Mine: 1\r\nContent-Length: 5\r\n\r\nhello", "200", "body: hello"}}) {
    const std::string answer = loop.block_on(raw(front.port(), head + rest));
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 " + status)) << rest << answer;
    EXPECT_TRUE(answer.ends_with(body)) << rest << answer;
    EXPECT_FALSE(answer.contains("x-mine")) << answer;
  }
}

TEST_F(ForwardTest, an_answer_has_one_end_too) {
  struct Run {
    static Task<void> answer(io::Listener* listener, std::string text) {
      auto fd = co_await listener->accept();
      if (!fd) co_return;
      auto stream = io::stream_from_fd(*fd);
      char asked[4096];
      (void)co_await stream->read(asked, sizeof asked);
      (void)co_await stream->write(text);
    }
    static Task<io::FetchResult> go(ForwardTest* self, std::string text) {
      auto listener = *io::Listener::tcp("127.0.0.1", 0);
      self->serve({.backends = {{.endpoints = {std::make_shared<Endpoint>("127.0.0.1:" + std::to_string(listener.port()))}}}});
      const Job answering(answer(&listener, text));
      io::HttpClient client({});
      auto got = co_await client.fetch({.method = "POST", .url = "http://127.0.0.1:" + std::to_string(self->front.port()) + "/"});
      co_return got ? *got : io::FetchResult{.status = -1, .body = got.error().message};
    }
  };
  struct Case {
    std::string answer;
    int status;
    std::string body;
  };
  for (const auto& [text, status, body] :
       {Case{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 200, "hello"},
        Case{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nhello", 502, "502 Bad Gateway\n"},
        Case{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, "hello"},
        Case{"HTTP/1.1 200 OK\r\n\r\nhello", 200, "hello"}, Case{"nonsense\r\n\r\n", 502, "502 Bad Gateway\n"}}) {
    const auto got = loop.block_on(Run::go(this, text));
    EXPECT_EQ(got.status, status) << text;
    EXPECT_EQ(got.body, body) << text;
  }
}

TEST_F(ForwardTest, upgrades_pass) {
  serve({.backends = {good()}});
  struct Run {
    static Task<std::string> go(std::string url) {
      io::HttpClient client({});
      auto up = co_await client.upgrade({.url = std::move(url), .headers = {{"Connection", "Upgrade"}, {"Upgrade", "echo"}}});
      if (!up || !up->stream) co_return "refused";
      if (!co_await up->stream->write("ping")) co_return "no write";
      char buffer[16];
      auto got = co_await up->stream->read(buffer, sizeof buffer);
      co_return got ? std::string(buffer, *got) : got.error().message;
    }
  };
  EXPECT_EQ(loop.block_on(Run::go("http://127.0.0.1:" + std::to_string(front.port()) + "/up")), "ping");
}

}  // namespace
}  // namespace estiba::ingress
