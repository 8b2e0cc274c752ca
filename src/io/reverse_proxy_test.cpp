#include "io/reverse_proxy.h"

#include "io/html_links.h"
#include "io/http_test_support.h"
#include "io/thread.h"

namespace estiba::io {
namespace {

std::string rewritten(std::string_view html, size_t step = std::string_view::npos) {
  HtmlLinks links([](std::string_view link) { return rewrite_link(link, "/p/proxy", "10.0.0.1:80", "api:6443"); });
  std::string out;
  for (size_t at = 0; at < html.size(); at += std::min(step, html.size() - at)) out += links.feed(html.substr(at, step));
  return out + links.finish();
}

TEST(RewriteLink, leads_through_the_proxy_what_is_of_the_backend) {
  auto link = [](std::string_view text) { return rewrite_link(text, "/p/proxy", "10.0.0.1:80", "api:6443"); };
  EXPECT_EQ(link("/a/b?q=1#x"), "/p/proxy/a/b?q=1#x");
  EXPECT_EQ(link("/p/proxy/a"), "/p/proxy/a") << "it has the prefix";
  EXPECT_EQ(link("http://10.0.0.1:80/a"), "/p/proxy/a");
  EXPECT_EQ(link("//10.0.0.1:80/a"), "/p/proxy/a");
  EXPECT_EQ(link("https://api:6443/a"), "https://api:6443/p/proxy/a");
  EXPECT_EQ(link("https://elsewhere/a"), "https://elsewhere/a");
  EXPECT_EQ(link("a/b"), "a/b");
  EXPECT_EQ(link("#top"), "#top");
  EXPECT_EQ(link("mailto:a@b"), "mailto:a@b");
}

TEST(HtmlLinks, rewrites_attributes_that_hold_links_and_nothing_else) {
  EXPECT_EQ(rewritten(R"(<a href="/x">/x</a>)"), R"(<a href="/p/proxy/x">/x</a>)");
  EXPECT_EQ(rewritten("<IMG alt='/x' SRC = '/i.png' ismap>"), "<IMG alt='/x' SRC = '/p/proxy/i.png' ismap>");
  EXPECT_EQ(rewritten("<form action=/go method=post>"), "<form action=/p/proxy/go method=post>");
  EXPECT_EQ(rewritten(R"(<div href="/x">)"), R"(<div href="/x">)");
  EXPECT_EQ(rewritten(R"(<a href="/x?a=1&amp;b=2">)"), R"(<a href="/p/proxy/x?a=1&amp;b=2">)");
  EXPECT_EQ(rewritten(R"(<script src="/j">var x = '<a href="/no">';</script><a href="/y">)"),
            R"(<script src="/p/proxy/j">var x = '<a href="/no">';</script><a href="/p/proxy/y">)");
  EXPECT_EQ(rewritten(R"(<!-- <a href="/no"> --><link href="/c"/>)"), R"(<!-- <a href="/no"> --><link href="/p/proxy/c"/>)");
  EXPECT_EQ(rewritten("1 < 2 <b"), "1 < 2 <b");
  EXPECT_EQ(rewritten("<a href=\"/unfinished"), "<a href=\"/unfinished");
}

TEST(HtmlLinks, does_not_mind_where_the_pieces_end) {
  constexpr std::string_view page =
      R"(<!DOCTYPE html><html><head><link href="/c"><script>if (a</b) "</scr";</script></head><!-- x--y --><a href='/x'>t</a></html>)";
  const std::string whole = rewritten(page);
  for (size_t step = 1; step < page.size(); ++step) EXPECT_EQ(rewritten(page, step), whole) << step;
}

TEST(HtmlLinks, gives_an_endless_tag_up) {
  HtmlLinks links([](std::string_view link) { return std::string(link); });
  size_t passed = links.feed("<a ").size();
  for (int i = 0; i < 1000; ++i) passed += links.feed(std::string(1000, 'x')).size();
  EXPECT_GT(passed, 900'000u) << "what is held back is bounded";
}

// A backend and a proxy before it, on one loop.
struct ReverseProxyTest : ::testing::Test {
  Loop loop;
  HttpServer backend{{&loop}, {}, [](Request& request, Response& response) { return answer(request, response); }};
  HttpServer front{{&loop}, {}, [this](Request& request, Response& response) { return pass(this, request, response); }};
  ReverseProxyOptions options;

  static Task<void> answer(Request& request, Response& response) {
    if (request.path == "/moved") co_return response.send(302, {{"Location", "/there"}});
    if (request.path == "/page")
      co_return response.send(200, {{"Content-Type", "text/html; charset=utf-8"}, {"Access-Control-Allow-Origin", "*"}}, "<a href=\"/x\">");
    if (request.path == "/broken") {
      if (!co_await response.start(200)) co_return;
      if (!co_await response.write("half")) co_return;
      co_return response.break_off();
    }
    if (request.wants_upgrade()) {
      auto stream = co_await response.upgrade(101, {{"Connection", "Upgrade"}, {"Upgrade", "echo"}, {"X-Made", "by the backend"}});
      if (!stream) co_return;
      char buffer[64];
      for (;;) {
        auto got = co_await (*stream)->read(buffer, sizeof buffer);
        if (!got || *got == 0 || !co_await (*stream)->write({buffer, *got})) co_return;
      }
    }
    auto body = co_await request.body();
    std::string seen = request.method + " " + request.target + "\n";
    for (const char* name :
         {"Authorization", "X-Forwarded-For", "X-Forwarded-Uri", "X-Remote-User", "Connection", "Transfer-Encoding", "Host"})
      if (request.headers.has(name)) seen += std::string(name) + ": " + std::string(request.headers.get(name)) + "\n";
    response.send(request.method == "PUT" ? 418 : 200, {{"X-Answer", "yes"}}, seen + (body ? *body : body.error().message));
  }
  static Task<void> pass(ReverseProxyTest* self, Request& request, Response& response) {
    HttpClient client({.max_idle_connections = 0});
    ReverseProxyOptions options = self->options;
    options.url = "http://127.0.0.1:" + std::to_string(self->backend.port()) + request.target;
    auto done = co_await reverse_proxy(request, response, client, std::move(options));
    if (!done) response.send(503, {}, done.error().message);
  }
  void SetUp() override {
    ASSERT_TRUE(backend.listen_tcp("127.0.0.1", 0, nullptr));
    ASSERT_TRUE(front.listen_tcp("127.0.0.1", 0, nullptr));
  }
  FetchResult ask(std::string method, std::string target, Headers headers = {}, std::string body = {}) {
    HttpClient client({});
    auto answer = loop.block_on(
        client.fetch({.method = std::move(method), .url = url(target), .headers = std::move(headers), .body = Body(std::move(body))}));
    EXPECT_TRUE(answer) << answer.error().message;
    return answer ? *answer : FetchResult{};
  }
  std::string url(const std::string& target) { return "http://127.0.0.1:" + std::to_string(front.port()) + target; }
};

TEST_F(ReverseProxyTest, passes_on_the_request_and_gives_back_the_answer) {
  options.remove = {"authorization", "x-remote-*"};
  options.set = {{"X-Remote-User", "jane"}};
  auto answer = ask("POST", "/a%2Fb?c=%20",
                    {{"Authorization", "Bearer t"}, {"X-Remote-User", "root"}, {"X-Forwarded-For", "10.9.9.9"}, {"Host", "asked"}}, "body");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, "POST /a%2Fb?c=%20\nX-Forwarded-For: 10.9.9.9, 127.0.0.1\nX-Remote-User: jane\nHost: asked\nbody");
  EXPECT_EQ(answer.headers.get("X-Answer"), "yes");
  EXPECT_EQ(ask("PUT", "/", {}, "x").status, 418) << "whatever the status";
  EXPECT_EQ(ask("HEAD", "/").status, 200);
  EXPECT_EQ(ask("DELETE", "/d").body.substr(0, 9), "DELETE /d");
}

TEST_F(ReverseProxyTest, streams_bodies_of_unknown_length) {
  struct Pieces final : BodyStream {
    int left = 300;
    Pieces() { length = unknown; }
    Task<Result<std::string>> next(std::string) override { co_return left-- > 0 ? std::string(1000, 'a') : std::string(); }
  };
  HttpClient client({});
  auto answer = loop.block_on(client.fetch({.method = "POST", .url = url("/up"), .stream = std::make_shared<Pieces>()}));
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_NE(answer->body.find("Transfer-Encoding: chunked\n"), std::string::npos);
  EXPECT_TRUE(answer->body.ends_with("\n" + std::string(300'000, 'a')));
}

TEST_F(ReverseProxyTest, rewrites_where_the_answer_leads_under_a_prefix) {
  EXPECT_EQ(ask("GET", "/moved").headers.get("Location"), "/there");
  options.prefix = "/p/proxy";
  EXPECT_EQ(ask("GET", "/moved").headers.get("Location"), "/p/proxy/there");
  auto page = ask("GET", "/page");
  EXPECT_EQ(page.body, "<a href=\"/p/proxy/x\">");
  EXPECT_FALSE(page.headers.has("Access-Control-Allow-Origin"));
  EXPECT_NE(ask("GET", "/a").body.find("X-Forwarded-Uri: /a\n"), std::string::npos);
  options.refuse_redirects = true;
  EXPECT_EQ(ask("GET", "/moved").status, 502);
}

TEST_F(ReverseProxyTest, an_answer_that_breaks_off_stays_broken) {
  HttpClient client({});
  EXPECT_FALSE(loop.block_on(client.fetch({.url = url("/broken")})));
}

TEST_F(ReverseProxyTest, carries_upgrades_both_ways) {
  HttpClient client({});
  auto up = loop.block_on(client.upgrade({.url = url("/any"), .headers = {{"Connection", "Upgrade"}, {"Upgrade", "echo"}}}));
  ASSERT_TRUE(up) << up.error().message;
  ASSERT_EQ(up->status, 101);
  EXPECT_EQ(up->headers.get("X-Made"), "by the backend");
  ASSERT_TRUE(loop.block_on(up->stream->write("hello")));
  char buffer[16];
  auto got = loop.block_on(up->stream->read(buffer, sizeof buffer));
  ASSERT_TRUE(got);
  EXPECT_EQ(std::string_view(buffer, *got), "hello");
}

}  // namespace
}  // namespace estiba::io
