#include "ingress/routes.h"

#include <gtest/gtest.h>

#include "ingress/config.h"
#include "ingress/targets.h"

namespace estiba::ingress {
namespace {

Route named(std::string name, Match match, std::string age = "2026-01-01T00:00:00Z") {
  return {.match = std::move(match), .action = std::make_shared<Action>(), .age = std::move(age), .name = std::move(name)};
}

std::string found(const Routes& routes, std::string_view host, const io::Request& request) {
  const Route* route =
      routes.find(host, {.method = request.method, .path = normal_path(request.path), .headers = request.headers, .query = request.query});
  return route ? route->name : "-";
}
std::string found(const Routes& routes, std::string_view host, std::string target) {
  return found(routes, host, io::Request("GET", std::move(target)));
}

TEST(Hosts, patterns_match_names) {
  struct Case {
    std::string_view pattern, host;
    bool matches;
  };
  for (const Case& one : std::initializer_list<Case>{{"", "a.example", true},
                                                     {"a.example", "a.example", true},
                                                     {"a.example", "b.example", false},
                                                     {"*.example", "a.example", true},
                                                     {"*.example", "b.a.example", true},
                                                     {"*.example", "example", false},
                                                     {"*.example", "aexample", false}})
    EXPECT_EQ(host_matches(one.pattern, one.host), one.matches) << one.pattern << " " << one.host;
}

// Gateway API, HTTPRouteSpec.hostnames: what a listener and a route have in common.
TEST(Hosts, intersections) {
  struct Case {
    std::string_view a, b;
    std::optional<std::string> both;
  };
  for (const Case& one : std::initializer_list<Case>{{"", "a.example", "a.example"},
                                                     {"*.example", "a.example", "a.example"},
                                                     {"*.example", "*.a.example", "*.a.example"},
                                                     {"*.example", "*.example", "*.example"},
                                                     {"*.example", "example", std::nullopt},
                                                     {"a.example", "b.example", std::nullopt},
                                                     {"*.a.example", "*.b.example", std::nullopt},
                                                     {"", "", ""}}) {
    EXPECT_EQ(host_intersection(one.a, one.b), one.both) << one.a << " " << one.b;
    EXPECT_EQ(host_intersection(one.b, one.a), one.both) << one.b << " " << one.a;
  }
}

TEST(Hosts, authorities_become_names) {
  EXPECT_EQ(host_name_of("Example.COM:8080"), "example.com");
  EXPECT_EQ(host_name_of("example.com."), "example.com");
  EXPECT_EQ(host_name_of("[::1]:80"), "[::1]");
  EXPECT_EQ(host_name_of("[::1]"), "[::1]");
  EXPECT_EQ(host_name_of(""), "");
}

TEST(Paths, dots_do_not_lead_past_a_route) {
  for (auto [path, normal] : std::initializer_list<std::pair<std::string_view, std::string_view>>{{"/a/b", "/a/b"},
                                                                                                  {"/open/../admin", "/admin"},
                                                                                                  {"/open/./x", "/open/x"},
                                                                                                  {"/../../x", "/x"},
                                                                                                  {"/a/..", "/"},
                                                                                                  {"/a/.", "/a/"},
                                                                                                  {"/.hidden/x", "/.hidden/x"},
                                                                                                  {"*", "*"}})
    EXPECT_EQ(normal_path(path), normal) << path;
  Routes routes;
  routes.add("", named("open", {.path = "/open"}));
  routes.seal();
  EXPECT_EQ(found(routes, "h", "/open/%2e%2e/admin"), "-");
}

// kubernetes.io/docs/concepts/services-networking/ingress, "Examples".
TEST(Paths, prefixes_match_whole_segments) {
  struct Case {
    Match::Path kind;
    std::string path;
    std::string_view request;
    bool matches;
  };
  using enum Match::Path;
  for (const Case& one : std::initializer_list<Case>{{prefix, "/", "/any/thing", true},
                                                     {exact, "/foo", "/foo", true},
                                                     {exact, "/foo", "/bar", false},
                                                     {exact, "/foo", "/foo/", false},
                                                     {exact, "/foo/", "/foo", false},
                                                     {prefix, "/foo", "/foo", true},
                                                     {prefix, "/foo", "/foo/", true},
                                                     {prefix, "/foo/", "/foo", true},
                                                     {prefix, "/foo/", "/foo/", true},
                                                     {prefix, "/aaa/bb", "/aaa/bbb", false},
                                                     {prefix, "/aaa/bbb", "/aaa/bbb", true},
                                                     {prefix, "/aaa/bbb/", "/aaa/bbb", true},
                                                     {prefix, "/aaa/bbb", "/aaa/bbb/", true},
                                                     {prefix, "/aaa/bbb", "/aaa/bbb/ccc", true},
                                                     {prefix, "/aaa/bbb", "/aaa/bbbxyz", false},
                                                     {prefix, "/FOO", "/foo", false}}) {
    Routes routes;
    routes.add("", named("it", {.kind = one.kind, .path = one.path}));
    routes.seal();
    EXPECT_EQ(found(routes, "h", std::string(one.request)), one.matches ? "it" : "-") << one.path << " " << one.request;
  }
}

// Gateway API, HTTPRouteRule.matches: each of these goes before the next, in whatever order they were written.
TEST(Routes, precedence) {
  io::Request request("GET", "/a/b?q=1&r=2");
  request.headers.add("X-One", "1");
  request.headers.add("x-two", "2");
  const std::vector<std::pair<std::string, Match>> best_first = {
      {"exact", {.kind = Match::Path::exact, .path = "/a/b"}},
      {"long with method", {.path = "/a/b", .method = "GET"}},
      {"long with headers", {.path = "/a/b", .headers = {{"x-one", "1"}, {"X-Two", "2"}}}},
      {"long with a header", {.path = "/a/b", .headers = {{"X-ONE", "1"}}, .query = {{"q", "1"}, {"r", "2"}}}},
      {"long with queries", {.path = "/a/b", .query = {{"q", "1"}, {"r", "2"}}}},
      {"long with a query", {.path = "/a/b", .query = {{"q", "1"}}}},
      {"long", {.path = "/a/b"}},
      {"short with method", {.path = "/a", .method = "GET"}},
      {"root", {}}};
  for (size_t left = 0; left < best_first.size(); ++left) {
    for (bool backwards : {false, true}) {
      Routes routes;
      auto rest = std::vector(best_first.begin() + ptrdiff_t(left), best_first.end());
      if (backwards) std::ranges::reverse(rest);
      for (const auto& [name, match] : rest) routes.add("", named(name, match));
      routes.seal();
      EXPECT_EQ(found(routes, "h", request), best_first[left].first);
    }
  }
}

TEST(Routes, equal_matches_go_to_the_older_then_by_name_then_in_order) {
  Routes routes;
  routes.add("", named("ns/b", {}, "2026-01-02T00:00:00Z"));
  routes.add("", named("ns/a", {}, "2026-01-02T00:00:00Z"));
  routes.seal();
  EXPECT_EQ(found(routes, "h", "/"), "ns/a");
  routes.add("", named("ns/c", {}, "2026-01-01T00:00:00Z"));
  routes.seal();
  EXPECT_EQ(found(routes, "h", "/"), "ns/c");
}

TEST(Routes, what_a_match_asks_for_must_be_there) {
  Routes routes;
  routes.add("", named("it", {.method = "POST", .headers = {{"version", "two"}}, .query = {{"animal", "whale"}}}));
  routes.seal();
  auto ask = [&](std::string method, std::string target, std::string version) {
    io::Request request(std::move(method), std::move(target));
    if (!version.empty()) request.headers.add("Version", version);
    return found(routes, "h", request);
  };
  EXPECT_EQ(ask("POST", "/?animal=whale", "two"), "it");
  EXPECT_EQ(ask("GET", "/?animal=whale", "two"), "-");
  EXPECT_EQ(ask("POST", "/?animal=dolphin", "two"), "-");
  EXPECT_EQ(ask("POST", "/", "two"), "-");
  EXPECT_EQ(ask("POST", "/?animal=whale", "Two"), "-");
  EXPECT_EQ(ask("POST", "/?animal=whale", ""), "-");
  EXPECT_EQ(ask("POST", "/?animal=dolphin&animal=whale", "two"), "-") << "the first of several counts";
}

TEST(Routes, host_names_go_before_paths) {
  Routes routes;
  routes.add("", named("all", {.path = "/very/long"}));
  routes.add("*.example", named("wild", {.path = "/very"}));
  routes.add("*.b.example", named("wilder", {.path = "/w"}));
  routes.add("a.b.example", named("exact", {.path = "/x"}));
  routes.add_default(named("default", {}));
  routes.seal();
  EXPECT_EQ(found(routes, "a.b.example", "/x"), "exact");
  EXPECT_EQ(found(routes, "a.b.example", "/w"), "wilder") << "no rule of the exact host matches";
  EXPECT_EQ(found(routes, "a.b.example", "/very/long"), "wild");
  EXPECT_EQ(found(routes, "elsewhere", "/very/long"), "all");
  EXPECT_EQ(found(routes, "elsewhere", "/x"), "default");
}

TEST(Routes, wildcards_of_an_ingress_mean_one_label) {
  Routes routes;
  routes.add("*.foo.com", named("it", {}), true);
  routes.seal();
  EXPECT_EQ(found(routes, "bar.foo.com", "/"), "it");
  EXPECT_EQ(found(routes, "baz.bar.foo.com", "/"), "-");
  EXPECT_EQ(found(routes, "foo.com", "/"), "-");
}

TEST(Port, listeners_of_one_owner_are_apart) {
  auto listener = [](std::string owner, std::string hostname, std::string name, std::string path) {
    auto made = std::make_shared<Listener>(std::move(owner), std::move(hostname));
    made->routes.add("", named(std::move(name), {.path = std::move(path)}));
    made->routes.seal();
    return made;
  };
  Port port;
  port.listeners = {listener("gw", "", "gw all", "/"), listener("gw", "a.example", "gw a", "/a"), listener("other", "", "other", "/")};
  port.seal();
  auto ask = [&](std::string_view host, std::string target) {
    const io::Request request("GET", std::move(target));
    const Route* route = port.find(host, {.method = "GET", .path = request.path, .headers = request.headers, .query = request.query});
    return route ? route->name : "-";
  };
  EXPECT_EQ(ask("a.example", "/a"), "gw a");
  EXPECT_EQ(ask("a.example", "/"), "other") << "the listener for every name of the same Gateway does not answer";
  EXPECT_EQ(ask("b.example", "/"), "gw all");
}

TEST(Targets, paths_are_rewritten) {
  using enum PathChange::Kind;
  struct Case {
    std::string request;
    PathChange change;
    std::string_view matched, result;
  };
  // The table of HTTPPathModifier.replacePrefixMatch.
  for (const Case& one : std::initializer_list<Case>{{"/foo/bar", {prefix, "/xyz"}, "/foo", "/xyz/bar"},
                                                     {"/foo/bar", {prefix, "/xyz/"}, "/foo", "/xyz/bar"},
                                                     {"/foo/bar", {prefix, "/xyz"}, "/foo/", "/xyz/bar"},
                                                     {"/foo", {prefix, "/xyz"}, "/foo", "/xyz"},
                                                     {"/foo/", {prefix, "/xyz"}, "/foo", "/xyz/"},
                                                     {"/foo/bar", {prefix, ""}, "/foo", "/bar"},
                                                     {"/foo/", {prefix, ""}, "/foo", "/"},
                                                     {"/foo", {prefix, ""}, "/foo", "/"},
                                                     {"/foo/", {prefix, "/"}, "/foo", "/"},
                                                     {"/foo", {prefix, "/"}, "/foo", "/"},
                                                     {"/a/b?q", {full, "/x"}, "/a", "/x"},
                                                     {"/f%6fo/a%20b", {prefix, "/xyz"}, "/foo", "/xyz/a%20b"},
                                                     {"/a%2Fb", {none, ""}, "/", "/a%2Fb"}})
    EXPECT_EQ(changed_path(io::Request("GET", one.request), one.change, one.matched), one.result) << one.request << " " << one.change.value;
}

TEST(Targets, redirections) {
  struct Case {
    Redirect redirect;
    uint16_t port;
    bool tls;
    std::string_view result;
  };
  for (const Case& one : std::initializer_list<Case>{{{.scheme = "https"}, 80, false, "https://a.example/p/q?x=1"},
                                                     {{.host = "b.example"}, 80, false, "http://b.example/p/q?x=1"},
                                                     {{.host = "b.example"}, 8080, false, "http://b.example:8080/p/q?x=1"},
                                                     {{.host = "b.example"}, 8443, true, "https://b.example:8443/p/q?x=1"},
                                                     {{.scheme = "https", .port = 8443}, 80, false, "https://a.example:8443/p/q?x=1"},
                                                     {{.scheme = "http", .port = 80}, 443, true, "http://a.example/p/q?x=1"},
                                                     {{.path = {PathChange::Kind::prefix, "/r"}}, 80, false, "http://a.example/r/q?x=1"}}) {
    io::Request request("GET", "/p/q?x=1");
    request.host = "A.example:1234";
    EXPECT_EQ(redirect_location(request, one.redirect, "/p", one.port, one.tls), one.result);
  }
}

}  // namespace
}  // namespace estiba::ingress
