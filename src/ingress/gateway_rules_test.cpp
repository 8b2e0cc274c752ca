// What Gateways and HTTPRoutes come to, in the words of the specification (gateway-api.sigs.k8s.io, v1).
#include "ingress/gateway_rules.h"

#include <gtest/gtest.h>

#include "base/fake_executor.h"
#include "base/strings.h"
#include "client/testing/fake_client.h"
#include "ingress/gateway_status.h"
#include "ingress/objects.h"
#include "io/http_test_support.h"

namespace estiba::ingress {
namespace {

struct GatewayRulesTest : ::testing::Test {
  FakeExecutor executor;
  client::testing::FakeClient client{executor};
  Event changed;
  Objects objects{client, changed};
  Job opening;
  Objects::Made made;

  void SetUp() override {
    client.add(gateway_class_resource, {},
               R"({"kind":"GatewayClass","metadata":{"name":"estiba"},"spec":{"controllerName":"estiba.dev/gateway"}})");
    client.add(gateway_class_resource, {},
               R"({"kind":"GatewayClass","metadata":{"name":"other"},"spec":{"controllerName":"example.com/x"}})");
    for (const char* ns : {"infra", "shop"})
      client.add(client::namespaces, {}, std::string(R"({"metadata":{"name":")") + ns + R"(","labels":{"team":")" + ns + "\"}}}");
    add_service("shop", "web", "10.42.0.5");
    add_service("shop", "new", "10.42.0.6");
  }
  void add_service(const std::string& ns, const std::string& name, const std::string& address) {
    client.add(client::services, ns, R"({"metadata":{"name":")" + name + R"("},"spec":{"ports":[{"port":80}]}})");
    client.add(client::endpoint_slices, ns,
               R"({"metadata":{"name":")" + name + R"(-1","labels":{"kubernetes.io/service-name":")" + name +
                   R"("}},"addressType":"IPv4","ports":[{"name":"","port":8080}],"endpoints":[{"addresses":[")" + address + "\"]}]}");
  }
  void add_gateway(std::string listeners, std::string ns = "shop", std::string name = "gw", std::string class_name = "estiba") {
    client.add(gateway_resource, ns,
               R"({"kind":"Gateway","metadata":{"name":")" + name + R"("},"spec":{"gatewayClassName":")" + class_name +
                   R"(","listeners":[)" + listeners + "]}}");
  }
  static std::string listener(std::string name, std::string rest = {}, std::string protocol = "HTTP", int port = 80) {
    return R"({"name":")" + name + R"(","protocol":")" + protocol + R"(","port":)" + std::to_string(port) +
           (rest.empty() ? "" : "," + rest) + "}";
  }
  void add_route(std::string name, std::string rules, std::string parent = R"({"name":"gw"})", std::string hostnames = "[]",
                 std::string ns = "shop") {
    client.add(http_route_resource, ns,
               R"({"kind":"HTTPRoute","metadata":{"name":")" + name + R"("},"spec":{"parentRefs":[)" + parent + R"(],"hostnames":)" +
                   hostnames + R"(,"rules":[)" + rules + "]}}");
  }
  static std::string to(std::string name, std::string more = {}) {
    return R"({"group":"","kind":"Service","name":")" + name + R"(","port":80)" + (more.empty() ? "" : "," + more) + "}";
  }
  static std::string rule(std::string backends, std::string more = {}) {
    return R"({"backendRefs":[)" + backends + "]" + (more.empty() ? "" : "," + more) + "}";
  }

  void make() {
    executor.run();
    struct Run {
      static Task<void> go(GatewayRulesTest* self) {
        co_await self->objects.open();
        self->made = self->objects.make({});
      }
    };
    opening = Job(Run::go(this));
    executor.run();
    ASSERT_TRUE(opening.done());
  }
  const Route* route(std::string_view host, const io::Request& request, uint16_t port = 80) {
    const auto open = made.config->ports.find(port);
    if (open == made.config->ports.end()) return nullptr;
    return open->second.find(host, {.method = request.method, .path = request.path, .headers = request.headers, .query = request.query});
  }
  std::string ask(std::string_view host, std::string target, uint16_t port = 80) {
    const Route* found = route(host, io::Request("GET", std::move(target)), port);
    if (!found) return "-";
    std::string out;
    for (const Backend& backend : found->action->backends) {
      out += backend.invalid ? "500 " : "";
      for (const EndpointPtr& endpoint : backend.endpoints) out += endpoint->address + " ";
    }
    return out;
  }
  static std::string condition(const std::vector<Condition>& conditions, std::string_view type) {
    for (const Condition& one : conditions)
      if (one.type == type) return (one.status ? "True " : "False ") + one.reason;
    return "none";
  }
  std::string of_route(std::string_view type, size_t parent = 0) {
    if (made.gateways.routes.empty() || made.gateways.routes[0].parents.size() <= parent) return "no parent";
    return condition(made.gateways.routes[0].parents[parent].conditions, type);
  }
  const ListenerStatus& of_listener(size_t i = 0) { return made.gateways.gateways[0].listeners[i]; }
  void add_secret(std::string ns) {
    const auto& pair = io::testing::Keys::get().server;
    client.add(client::secrets, ns,
               R"({"metadata":{"name":"tls"},"data":{"tls.crt":")" + base64_encode(pair.certificate_pem) + R"(","tls.key":")" +
                   base64_encode(pair.key_pem) + "\"}}");
  }
};

TEST_F(GatewayRulesTest, a_route_is_attached_and_served) {
  add_gateway(listener("http"));
  add_gateway(listener("http"), "shop", "foreign", "other");
  add_route("r", rule(to("web")));
  make();
  EXPECT_EQ(ask("any", "/"), "10.42.0.5:8080 ");
  EXPECT_EQ(of_route("Accepted"), "True Accepted");
  EXPECT_EQ(of_route("ResolvedRefs"), "True ResolvedRefs");
  ASSERT_EQ(made.gateways.gateways.size(), 1u);
  EXPECT_EQ(condition(made.gateways.gateways[0].conditions, "Accepted"), "True Accepted");
  EXPECT_EQ(of_listener().attached, 1);
  for (auto [type, is] : std::initializer_list<std::pair<const char*, const char*>>{{"Accepted", "True Accepted"},
                                                                                    {"Programmed", "True Programmed"},
                                                                                    {"ResolvedRefs", "True ResolvedRefs"},
                                                                                    {"Conflicted", "False NoConflicts"}})
    EXPECT_EQ(condition(of_listener().conditions, type), is);
}

TEST_F(GatewayRulesTest, why_a_route_is_not_accepted) {
  struct Case {
    std::string listener_rest, parent, hostnames, accepted;
  };
  const std::string ours = R"({"name":"gw"})";
  for (const Case& one :
       std::initializer_list<Case>{{"", ours, "[]", "True Accepted"},
                                   {"", R"({"name":"gw","sectionName":"http"})", "[]", "True Accepted"},
                                   {"", R"({"name":"gw","sectionName":"nosuch"})", "[]", "False NoMatchingParent"},
                                   {"", R"({"name":"gw","port":80})", "[]", "True Accepted"},
                                   {"", R"({"name":"gw","port":81})", "[]", "False NoMatchingParent"},
                                   {"", R"({"name":"nosuch"})", "[]", "no parent"},
                                   {"", R"({"name":"gw","kind":"Service","group":""})", "[]", "no parent"},
                                   {R"("hostname":"*.shop.example")", ours, R"(["a.shop.example"])", "True Accepted"},
                                   {R"("hostname":"*.shop.example")", ours, R"(["other.example"])", "False NoMatchingListenerHostname"},
                                   {R"("allowedRoutes":{"kinds":[{"kind":"GRPCRoute"}]})", ours, "[]", "False NotAllowedByListeners"}}) {
    add_gateway(listener("http", one.listener_rest));
    add_route("r", rule(to("web")), one.parent, one.hostnames);
    make();
    EXPECT_EQ(of_route("Accepted"), one.accepted) << one.listener_rest << one.parent << one.hostnames;
    client.erase(gateway_resource, "shop", "gw");
    client.erase(http_route_resource, "shop", "r");
  }
}

TEST_F(GatewayRulesTest, whose_routes_a_listener_takes) {
  struct Case {
    std::string namespaces, accepted;
  };
  for (const Case& one : std::initializer_list<Case>{
           {R"({"from":"Same"})", "False NotAllowedByListeners"},
           {R"({"from":"All"})", "True Accepted"},
           {R"({"from":"Selector","selector":{"matchLabels":{"team":"shop"}}})", "True Accepted"},
           {R"({"from":"Selector","selector":{"matchExpressions":[{"key":"team","operator":"In","values":["bank"]}]}})",
            "False NotAllowedByListeners"},
           {R"({"from":"Selector"})", "False NotAllowedByListeners"}}) {
    add_gateway(listener("http", R"("allowedRoutes":{"namespaces":)" + one.namespaces + "}"), "infra");
    add_route("r", rule(to("web")), R"({"name":"gw","namespace":"infra"})");
    make();
    EXPECT_EQ(of_route("Accepted"), one.accepted) << one.namespaces;
    client.erase(gateway_resource, "infra", "gw");
    client.erase(http_route_resource, "shop", "r");
  }
}

TEST_F(GatewayRulesTest, references_that_lead_nowhere_answer_500) {
  struct Case {
    std::string backend, resolved;
  };
  add_service("bank", "vault", "10.42.0.9");
  for (const Case& one : std::initializer_list<Case>{{to("nosuch"), "False BackendNotFound"},
                                                     {R"({"kind":"Unknown","name":"web","port":80})", "False InvalidKind"},
                                                     {to("vault", R"("namespace":"bank")"), "False RefNotPermitted"}}) {
    add_gateway(listener("http"));
    add_route("r", rule(one.backend));
    make();
    EXPECT_EQ(of_route("Accepted"), "True Accepted");
    EXPECT_EQ(of_route("ResolvedRefs"), one.resolved) << one.backend;
    EXPECT_EQ(ask("any", "/"), "500 ");
    client.erase(gateway_resource, "shop", "gw");
    client.erase(http_route_resource, "shop", "r");
  }
}

TEST_F(GatewayRulesTest, a_grant_permits_references_to_another_namespace) {
  add_service("bank", "vault", "10.42.0.9");
  add_gateway(listener("http"));
  add_route("r", rule(to("vault", R"("namespace":"bank")")));
  auto grant = [&](std::string name, std::string from_ns, std::string to_name) {
    client.add(reference_grant_resource, "bank",
               R"({"metadata":{"name":")" + name +
                   R"("},"spec":{"from":[{"group":"gateway.networking.k8s.io","kind":"HTTPRoute","namespace":")" + from_ns +
                   R"("}],"to":[{"group":"","kind":"Service")" + (to_name.empty() ? "" : R"(,"name":")" + to_name + "\"") + "}]}}");
  };
  grant("elsewhere", "infra", "");
  grant("another", "shop", "other");
  make();
  EXPECT_EQ(of_route("ResolvedRefs"), "False RefNotPermitted");
  grant("this", "shop", "vault");
  make();
  EXPECT_EQ(of_route("ResolvedRefs"), "True ResolvedRefs");
  EXPECT_EQ(ask("any", "/"), "10.42.0.9:8080 ");
}

TEST_F(GatewayRulesTest, listeners_with_certificates) {
  const std::string refs = R"("tls":{"mode":"Terminate","certificateRefs":[{"group":"","kind":"Secret","name":"tls"}]})";
  add_gateway(listener("https", refs + R"(,"hostname":"shop.example")", "HTTPS", 443));
  make();
  EXPECT_EQ(condition(of_listener().conditions, "ResolvedRefs"), "False InvalidCertificateRef");
  EXPECT_EQ(condition(of_listener().conditions, "Programmed"), "False Invalid");
  EXPECT_EQ(condition(made.gateways.gateways[0].conditions, "Accepted"), "False ListenersNotValid");
  EXPECT_TRUE(made.config->ports.empty());
  add_secret("shop");
  make();
  EXPECT_EQ(condition(of_listener().conditions, "ResolvedRefs"), "True ResolvedRefs");
  EXPECT_TRUE(made.config->ports.at(443).certificates.of_client("shop.example"));
  EXPECT_FALSE(made.config->ports.at(443).certificates.of_client("other.example"));
}

TEST_F(GatewayRulesTest, listeners_with_certificates_are_isolated) {
  const std::string refs = R"("tls":{"certificateRefs":[{"name":"tls"}]})";
  add_secret("shop");
  add_gateway(listener("one", refs + R"(,"hostname":"a.example")", "HTTPS", 443) + "," +
              listener("all", refs + R"(,"hostname":"*.example")", "HTTPS", 443) + "," +
              listener("far", refs + R"(,"hostname":"far.test")", "HTTPS", 443));
  add_route("r", rule(to("web")), R"({"name":"gw","sectionName":"all"})");
  make();
  EXPECT_EQ(condition(of_listener(0).conditions, "OverlappingTLSConfig"), "True OverlappingHostnames");
  EXPECT_EQ(condition(of_listener(1).conditions, "OverlappingTLSConfig"), "True OverlappingHostnames");
  EXPECT_EQ(condition(of_listener(2).conditions, "OverlappingTLSConfig"), "none");
  const Port& port = made.config->ports.at(443);
  EXPECT_EQ(port.direct("b.example", "b.example").status, 0);
  EXPECT_EQ(port.direct("b.example", "c.example").status, 0) << "the same listener";
  EXPECT_EQ(port.direct("b.example", "a.example").status, 421) << "a more specific one, though of the same certificate";
  EXPECT_EQ(port.direct("a.example", "b.example").status, 421);
  EXPECT_EQ(port.direct("b.example", "other.test").status, 404) << "no listener";
  const auto found = [&](std::string_view server_name, std::string_view host) {
    const io::Request request("GET", "/");
    return port.find(host, {.method = request.method, .path = request.path, .headers = request.headers, .query = request.query},
                     port.direct(server_name, host).certificate) != nullptr;
  };
  EXPECT_TRUE(found("b.example", "b.example"));
  EXPECT_FALSE(found("a.example", "a.example")) << "the listener of this host has no route, and no other answers in its place";
}

TEST_F(GatewayRulesTest, certificates_of_another_namespace_need_a_grant) {
  add_secret("infra");
  add_gateway(listener("https", R"("tls":{"certificateRefs":[{"name":"tls","namespace":"infra"}]})", "HTTPS", 443));
  make();
  EXPECT_EQ(condition(of_listener().conditions, "ResolvedRefs"), "False RefNotPermitted");
  client.add(
      reference_grant_resource, "infra",
      R"({"metadata":{"name":"g"},"spec":{"from":[{"group":"gateway.networking.k8s.io","kind":"Gateway","namespace":"shop"}],"to":[{"group":"","kind":"Secret"}]}})");
  make();
  EXPECT_EQ(condition(of_listener().conditions, "ResolvedRefs"), "True ResolvedRefs");
}

TEST_F(GatewayRulesTest, bytes_go_by_server_name_and_by_port) {
  add_secret("shop");
  add_gateway(listener("pass", R"("hostname":"*.example","tls":{"mode":"Passthrough"})", "TLS", 443) + "," +
              listener("ends", R"("hostname":"ends.example","tls":{"certificateRefs":[{"name":"tls"}]})", "TLS", 443) + "," +
              listener("http", R"("hostname":"http.example","tls":{"certificateRefs":[{"name":"tls"}]})", "HTTPS", 443) + "," +
              listener("db", {}, "TCP", 5432));
  const auto add = [&](client::Resource resource, std::string kind, std::string section, std::string hostnames, std::string backend) {
    client.add(resource, "shop",
               R"({"kind":")" + kind + R"(","metadata":{"name":")" + section + R"("},"spec":{"parentRefs":[{"name":"gw","sectionName":")" +
                   section + "\"}]" + (hostnames.empty() ? "" : R"(,"hostnames":)" + hostnames) + R"(,"rules":[)" + rule(to(backend)) +
                   "]}}");
  };
  add(tls_route_resource, "TLSRoute", "pass", R"(["a.example","*.b.example"])", "web");
  add(tls_route_resource, "TLSRoute", "ends", R"(["ends.example"])", "new");
  add(tcp_route_resource, "TCPRoute", "db", "", "web");
  make();
  const auto backend = [&](uint16_t number, std::string_view name) -> std::string {
    const StreamListener* stream = made.config->ports.at(number).stream_of(name);
    if (!stream) return "http";
    const StreamRoute* route = stream->find(name);
    return route ? (stream->context ? "ends " : "") + route->action->backends.at(0).endpoints.at(0)->address : "nothing";
  };
  EXPECT_EQ(backend(443, "a.example"), "10.42.0.5:8080");
  EXPECT_EQ(backend(443, "x.b.example"), "10.42.0.5:8080");
  EXPECT_EQ(backend(443, "c.example"), "nothing");
  EXPECT_EQ(backend(443, "ends.example"), "ends 10.42.0.6:8080");
  EXPECT_EQ(backend(443, "http.example"), "http");
  EXPECT_EQ(backend(443, "other.test"), "http") << "for the certificates to decide";
  EXPECT_EQ(backend(5432, ""), "10.42.0.5:8080");
  EXPECT_FALSE(made.config->ports.at(5432).speaks_http());
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(condition(of_listener(i).conditions, "Programmed"), "True Programmed") << i;
    EXPECT_EQ(of_listener(i).attached, i == 2 ? 0 : 1) << i;
  }
  EXPECT_EQ(of_listener(0).kinds.size(), 1u);
  EXPECT_EQ(of_listener(1).kinds.size(), 2u);
}

TEST_F(GatewayRulesTest, a_port_of_bytes_has_one_listener_and_takes_its_own_kinds) {
  add_gateway(listener("db", {}, "TCP", 5432) + "," + listener("web", {}, "HTTP", 5432) + "," +
              listener("tls", R"("tls":{"mode":"Passthrough"})", "TLS", 5432));
  add_gateway(listener("db", {}, "TCP", 5432), "shop", "second");
  add_route("r", rule(to("web")), R"({"name":"gw","sectionName":"db"})");
  make();
  EXPECT_EQ(condition(of_listener(0).conditions, "Programmed"), "True Programmed");
  EXPECT_EQ(condition(of_listener(1).conditions, "Conflicted"), "True ProtocolConflict");
  EXPECT_EQ(condition(of_listener(2).conditions, "Conflicted"), "True ProtocolConflict");
  EXPECT_EQ(condition(made.gateways.gateways[1].listeners[0].conditions, "Conflicted"), "True ProtocolConflict");
  EXPECT_EQ(of_route("Accepted"), "False NotAllowedByListeners");
}

TEST_F(GatewayRulesTest, retries_and_what_a_service_says_of_itself) {
  add_gateway(listener("http"));
  client.merge(client::services, "shop", "web",
               R"({"metadata":{"annotations":{"estiba.dev/eject-after":"7","estiba.dev/proxy-protocol":"v2"}}})");
  add_route("r", rule(to("web"), R"("retry":{"codes":[500,503],"attempts":99,"backoff":"20ms"})"));
  make();
  const Route* found = route("any", io::Request("GET", "/"));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->action->retry.codes, (std::vector<int>{500, 503}));
  EXPECT_EQ(found->action->retry.attempts, 10u);
  EXPECT_EQ(found->action->retry.backoff, std::chrono::milliseconds(20));
  EXPECT_EQ(found->action->backends[0].ejection.after, 7u);
  EXPECT_EQ(found->action->backends[0].proxy_protocol, ProxyProtocol::v2);
  client.merge(client::services, "shop", "web", R"({"metadata":{"annotations":{"estiba.dev/eject-after":"x"}}})");
  make();
  EXPECT_EQ(route("any", io::Request("GET", "/"))->action->backends[0].ejection.after, EjectionRule().after);
  EXPECT_EQ(made.problems["shop/r"], "Service shop/web: estiba.dev/eject-after must be a number of failures, or 0 for never, not \"x\"");
}

TEST_F(GatewayRulesTest, listeners_that_cannot_be_served) {
  add_gateway(listener("udp", {}, "UDP", 5432) + "," +
              listener("kinds", R"("allowedRoutes":{"kinds":[{"kind":"HTTPRoute"},{"kind":"TCPRoute"}]})") + "," +
              listener("clash", R"("tls":{"certificateRefs":[{"name":"tls"}]})", "HTTPS", 80));
  add_secret("shop");
  make();
  EXPECT_EQ(condition(of_listener(0).conditions, "Accepted"), "False UnsupportedProtocol");
  EXPECT_EQ(condition(of_listener(1).conditions, "ResolvedRefs"), "False InvalidRouteKinds");
  EXPECT_EQ(of_listener(1).kinds.size(), 1u);
  EXPECT_EQ(condition(of_listener(1).conditions, "Programmed"), "True Programmed");
  EXPECT_EQ(condition(of_listener(2).conditions, "Conflicted"), "True ProtocolConflict");
  EXPECT_EQ(condition(made.gateways.gateways[0].conditions, "Accepted"), "True ListenersNotValid");
}

TEST_F(GatewayRulesTest, canaries_by_weight_and_by_header) {
  add_gateway(listener("http"));
  add_route("r", rule(to("web", R"("weight":90)") + "," + to("new", R"("weight":10)")) + "," +
                     rule(to("new"), R"("matches":[{"headers":[{"name":"x-canary","value":"yes"}]}])"));
  make();
  io::Request plain("GET", "/"), canary("GET", "/");
  canary.headers.add("X-Canary", "yes");
  const auto& shared = route("any", plain)->action->backends;
  ASSERT_EQ(shared.size(), 2u);
  EXPECT_EQ(shared[0].weight, 90u);
  EXPECT_EQ(shared[1].weight, 10u);
  EXPECT_EQ(route("any", canary)->action->backends[0].endpoints[0]->address, "10.42.0.6:8080");
}

TEST_F(GatewayRulesTest, filters_and_timeouts_are_read) {
  add_gateway(listener("http"));
  add_route(
      "r",
      rule(
          to("web"),
          R"("timeouts":{"request":"1m30s","backendRequest":"500ms"},"matches":[{"path":{"type":"PathPrefix","value":"/old/"},"method":"GET"}],
      "filters":[{"type":"RequestHeaderModifier","requestHeaderModifier":{"set":[{"name":"a","value":"1"}],"add":[{"name":"b","value":"2"}],"remove":["C"]}},
                 {"type":"ResponseHeaderModifier","responseHeaderModifier":{"remove":["Server"]}},
                 {"type":"URLRewrite","urlRewrite":{"hostname":"inner","path":{"type":"ReplacePrefixMatch","replacePrefixMatch":"/new"}}},
                 {"type":"RequestMirror","requestMirror":{"backendRef":{"name":"new","port":80},"percent":25}}])") +
          "," +
          R"({"matches":[{"path":{"value":"/moved"}}],"filters":[{"type":"RequestRedirect","requestRedirect":{"scheme":"https","port":8443,"statusCode":301}}]})");
  make();
  const Route* found = route("any", io::Request("GET", "/old/x"));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->match.path, "/old");
  const Action& action = *found->action;
  EXPECT_EQ(action.request_timeout, std::chrono::seconds(90));
  EXPECT_EQ(action.backend_timeout, std::chrono::milliseconds(500));
  EXPECT_EQ(action.filters.request.set.size() + action.filters.request.add.size(), 2u);
  EXPECT_EQ(action.filters.request.remove, std::vector<std::string>{"c"});
  EXPECT_EQ(action.filters.response.remove, std::vector<std::string>{"server"});
  EXPECT_EQ(action.filters.rewrite->host, "inner");
  EXPECT_EQ(action.filters.rewrite->path.value, "/new");
  ASSERT_EQ(action.filters.mirrors.size(), 1u);
  EXPECT_EQ(action.filters.mirrors[0].numerator, 25u);
  const Route* moved = route("any", io::Request("POST", "/moved"));
  ASSERT_TRUE(moved && moved->action->filters.redirect);
  EXPECT_EQ(moved->action->filters.redirect->port, 8443);
  EXPECT_EQ(moved->action->filters.redirect->status, 301);
}

TEST_F(GatewayRulesTest, what_is_not_served_is_not_accepted) {
  add_gateway(listener("http"));
  add_route("r", rule(to("web"), R"("matches":[{"path":{"type":"RegularExpression","value":"/a.*"}}])"));
  make();
  EXPECT_EQ(of_route("Accepted"), "False UnsupportedValue");
  EXPECT_EQ(ask("any", "/abc"), "-");
}

TEST_F(GatewayRulesTest, grpc_routes_match_services_and_methods) {
  add_gateway(listener("http"));
  const auto rule_of = [](std::string match, std::string backend) {
    return R"({"matches":[{)" + match + R"(}],"backendRefs":[)" + to(std::move(backend)) + "]}";
  };
  for (const char* name : {"both", "service", "method", "any"}) add_service("shop", name, name);
  client.add(grpc_route_resource, "shop",
             R"({"kind":"GRPCRoute","metadata":{"name":"g"},"spec":{"parentRefs":[{"name":"gw"}],"hostnames":["rpc.example"],"rules":[)" +
                 rule_of(R"("headers":[{"name":"x-canary","value":"1"}],"method":{"service":"shop.Cart"})", "new") + "," +
                 rule_of(R"("method":{"method":"Get"})", "method") + "," + rule_of(R"("method":{"service":"shop.Cart"})", "service") + "," +
                 rule_of(R"("method":{"service":"shop.Cart","method":"Get"})", "both") + R"(,{"backendRefs":[)" + to("any") + "]}]}}");
  make();
  EXPECT_EQ(of_route("Accepted"), "True Accepted");
  EXPECT_EQ(of_route("ResolvedRefs"), "True ResolvedRefs");
  EXPECT_EQ(of_listener().attached, 1);
  EXPECT_EQ(of_listener().kinds.size(), 2u);
  for (const auto& [path, wanted] : std::vector<std::pair<std::string, std::string>>{{"/shop.Cart/Get", "both:8080 "},
                                                                                     {"/shop.Cart/Put", "service:8080 "},
                                                                                     {"/shop.Order/Get", "method:8080 "},
                                                                                     {"/shop.Carts/Put", "any:8080 "},
                                                                                     {"/a/shop.Order/Get", "any:8080 "},
                                                                                     {"/Get", "any:8080 "}})
    EXPECT_EQ(ask("rpc.example", path), wanted) << path;
  EXPECT_EQ(ask("other.example", "/shop.Cart/Get"), "-");
  io::Request canary("POST", "/shop.Cart/Put");
  canary.headers.add("X-Canary", "1");
  const Route* found = route("rpc.example", canary);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->action->backends[0].endpoints[0]->address, "10.42.0.6:8080");
  EXPECT_TRUE(found->action->backends[0].endpoints[0]->http2) << "whatever the Service says";
}

TEST_F(GatewayRulesTest, listeners_take_the_kinds_of_routes_that_they_name) {
  add_gateway(listener("http", R"("allowedRoutes":{"kinds":[{"kind":"GRPCRoute"}]})"));
  client.add(
      grpc_route_resource, "shop",
      R"({"kind":"GRPCRoute","metadata":{"name":"g"},"spec":{"parentRefs":[{"name":"gw"}],"rules":[{"matches":[{"method":{"type":"RegularExpression","service":".*"}}]}]}})");
  add_route("r", rule(to("web")));
  make();
  EXPECT_EQ(of_route("Accepted", 0), "False UnsupportedValue");
  ASSERT_EQ(made.gateways.routes.size(), 2u);
  EXPECT_EQ(condition(made.gateways.routes[1].parents[0].conditions, "Accepted"), "False NotAllowedByListeners");
}

TEST_F(GatewayRulesTest, durations) {
  EXPECT_EQ(gateway_duration("1h2m3s4ms"), std::chrono::milliseconds(3723004));
  EXPECT_EQ(gateway_duration("0s"), Duration(0));
  EXPECT_EQ(gateway_duration(""), Duration(0));
}

TEST_F(GatewayRulesTest, the_status_is_written_once_and_keeps_its_times) {
  add_gateway(listener("http"));
  add_route("r", rule(to("web")));
  make();
  const WallTime first{std::chrono::seconds(1'800'000'000)}, later = first + std::chrono::hours(1);
  const GatewayStatus& status = made.gateways.gateways[0];
  auto patch = gateway_patch(status, {"10.0.0.1"}, first);
  ASSERT_TRUE(patch);
  EXPECT_NE(
      patch->find(
          R"({"type":"Programmed","status":"True","observedGeneration":1,"lastTransitionTime":"2027-01-15T08:00:00Z","reason":"Programmed","message":""})"),
      std::string::npos)
      << *patch;
  client.merge(gateway_resource, "shop", "gw", *patch, "status");
  patch = route_patch(made.gateways.routes[0].object, &made.gateways.routes[0], first);
  ASSERT_TRUE(patch);
  client.merge(http_route_resource, "shop", "r", R"({"status":{"parents":[{"parentRef":{"name":"x"},"controllerName":"example.com/x"}]}})",
               "status");
  make();
  EXPECT_FALSE(gateway_patch(made.gateways.gateways[0], {"10.0.0.1"}, later)) << "it says so already";
  const auto moved = gateway_patch(made.gateways.gateways[0], {}, later);
  ASSERT_TRUE(moved);
  EXPECT_NE(moved->find(R"("reason":"AddressNotAssigned")"), std::string::npos);
  EXPECT_NE(moved->find(R"("type":"Accepted","status":"True","observedGeneration":1,"lastTransitionTime":"2027-01-15T08:00:00Z")"),
            std::string::npos)
      << "what has not changed keeps its time: " << *moved;
  patch = route_patch(made.gateways.routes[0].object, &made.gateways.routes[0], first);
  ASSERT_TRUE(patch);
  EXPECT_NE(patch->find("example.com/x"), std::string::npos) << "what others have written stays";
}

}  // namespace
}  // namespace estiba::ingress
