#include "ingress/ingress_rules.h"

#include <gtest/gtest.h>

#include "base/fake_executor.h"
#include "base/strings.h"
#include "client/testing/fake_client.h"
#include "io/http_test_support.h"

namespace estiba::ingress {
namespace {

struct IngressRulesTest : ::testing::Test {
  FakeExecutor executor;
  client::testing::FakeClient client{executor};
  client::Informer ingresses{client, ingress_resource}, classes{client, ingress_class_resource};
  Sources sources{client};
  Backends backends;
  TlsSecrets secrets;
  RateLimits limits;
  std::string problems;

  void SetUp() override {
    client.add(ingress_class_resource, {}, R"({"metadata":{"name":"estiba"},"spec":{"controller":"estiba.dev/ingress"}})");
    client.add(ingress_class_resource, {}, R"({"metadata":{"name":"nginx"},"spec":{"controller":"k8s.io/ingress-nginx"}})");
    add_service("web", "10.42.0.5", "8080");
  }
  void add_service(const std::string& name, const std::string& address, const std::string& port) {
    client.add(client::services, "shop", R"({"metadata":{"name":")" + name + R"("},"spec":{"ports":[{"name":"http","port":80}]}})");
    client.add(client::endpoint_slices, "shop",
               R"({"metadata":{"name":")" + name + R"(-1","labels":{"kubernetes.io/service-name":")" + name +
                   R"("}},"addressType":"IPv4","ports":[{"name":"http","port":)" + port + R"(}],"endpoints":[{"addresses":[")" + address +
                   R"("],"conditions":{"ready":true}}]})");
  }
  void add(const std::string& name, const std::string& spec, const std::string& made = "2026-01-01T00:00:00Z") {
    client.add(ingress_resource, "shop",
               R"({"metadata":{"name":")" + name + R"(","creationTimestamp":")" + made + R"("},"spec":{"ingressClassName":"estiba",)" +
                   spec + "}}");
  }
  void add_secret(const std::string& name) {
    const auto& pair = io::testing::Keys::get().server;
    client.add(client::secrets, "shop",
               R"({"metadata":{"name":")" + name + R"("},"type":"kubernetes.io/tls","data":{"tls.crt":")" +
                   base64_encode(pair.certificate_pem) + R"(","tls.key":")" + base64_encode(pair.key_pem) + "\"}}");
  }
  static std::string backend(const std::string& name) { return R"({"service":{"name":")" + name + R"(","port":{"number":80}}})"; }

  Config config() {
    executor.run();
    std::vector<model::ObjectRef> ours;
    for (const auto& one : ingresses.list())
      if (is_ours(one, classes)) ours.push_back(one);
    Config config;
    problems.clear();
    const auto report = [&](const std::string& object, const std::string& problem) { problems += object + ": " + problem + "\n"; };
    add_ingresses(config, ours, {}, {sources, backends, secrets, report, &limits});
    for (auto& [number, port] : config.ports) port.seal();
    return config;
  }
  // The addresses that a request would go to.
  static std::string ask(const Config& config, std::string_view host, std::string target) {
    const auto port = config.ports.find(80);
    if (port == config.ports.end()) return "closed";
    const io::Request request("GET", std::move(target));
    const Route* route =
        port->second.find(host, {.method = "GET", .path = request.path, .headers = request.headers, .query = request.query});
    if (!route) return "404";
    std::string out;
    for (const EndpointPtr& endpoint : route->action->backends[0].endpoints) out += endpoint->address + " ";
    return out.empty() ? "503" : out;
  }
};

TEST_F(IngressRulesTest, nothing_is_served_without_an_ingress_of_ours) {
  client.add(ingress_resource, "shop", R"({"metadata":{"name":"other"},"spec":{"ingressClassName":"nginx"}})");
  client.add(ingress_resource, "shop", R"({"metadata":{"name":"none"},"spec":{}})");
  EXPECT_TRUE(config().ports.empty());
  client.add(ingress_resource, "shop", R"({"metadata":{"name":"old","annotations":{"kubernetes.io/ingress.class":"estiba"}},"spec":{}})");
  EXPECT_EQ(config().ports.size(), 1u);
}

TEST_F(IngressRulesTest, rules_lead_to_ready_endpoints) {
  add("web",
      R"("rules":[{"host":"shop.example","http":{"paths":[{"path":"/api","pathType":"Prefix","backend":)" + backend("web") + "}]}}]");
  const Config made = config();
  EXPECT_EQ(ask(made, "shop.example", "/api/x"), "10.42.0.5:8080 ");
  EXPECT_EQ(ask(made, "shop.example", "/"), "404");
  EXPECT_EQ(ask(made, "elsewhere", "/api"), "404");
  EXPECT_TRUE(backends.used().contains("shop/web"));
  client.merge(client::endpoint_slices, "shop", "web-1", R"({"endpoints":[{"addresses":["10.42.0.5"],"conditions":{"ready":false}}]})");
  EXPECT_EQ(ask(config(), "shop.example", "/api"), "503");
  client.merge(client::endpoint_slices, "shop", "web-1",
               R"({"endpoints":[{"addresses":["10.42.0.5"],"conditions":{"ready":false,"serving":true,"terminating":true}}]})");
  EXPECT_EQ(ask(config(), "shop.example", "/api"), "10.42.0.5:8080 ") << "what goes away is better than nothing";
}

TEST_F(IngressRulesTest, ports_may_be_named_and_services_missing) {
  add("web",
      R"("defaultBackend":{"service":{"name":"web","port":{"name":"http"}}},"rules":[{"http":{"paths":[{"path":"/no","pathType":"Exact","backend":)" +
          backend("missing") + "}]}}]");
  const Config made = config();
  EXPECT_EQ(ask(made, "any", "/anything"), "10.42.0.5:8080 ") << "the default backend";
  EXPECT_EQ(ask(made, "any", "/no"), "503");
  EXPECT_EQ(problems, "shop/web: Service shop/missing or its port is not there\n");
}

TEST_F(IngressRulesTest, annotations_limit_what_clients_send) {
  const auto limit_of = [&](std::string annotations) {
    client.add(ingress_resource, "shop",
               R"({"metadata":{"name":"limited","annotations":{)" + annotations + R"(}},"spec":{"ingressClassName":"estiba","rules":[
                      {"host":"h","http":{"paths":[{"path":"/","pathType":"Prefix","backend":)" +
                   backend("web") + "}]}}]}}");
    const Config made = config();
    client.erase(ingress_resource, "shop", "limited");
    executor.run();
    const io::Request request("GET", "/");
    const Route* route = made.ports.at(80).find("h", {.method = "GET", .path = "/", .headers = request.headers, .query = request.query});
    return route ? route->action->limit : nullptr;
  };
  EXPECT_FALSE(limit_of(""));
  const auto limit = limit_of(R"("estiba.dev/rate-limit":"10/s","estiba.dev/rate-limit-burst":"3")");
  ASSERT_TRUE(limit);
  EXPECT_EQ(limit->rate(), (Rate{std::chrono::milliseconds(100), 3}));
  EXPECT_EQ(problems, "");
  EXPECT_EQ(limit_of(R"("estiba.dev/rate-limit":"10/s","estiba.dev/rate-limit-burst":"3")"), limit) << "clients stay counted";
  EXPECT_FALSE(limit_of(R"("estiba.dev/rate-limit":"many")"));
  EXPECT_EQ(
      problems,
      "shop/limited: annotation estiba.dev/rate-limit: it must be a number from 1 to 1000000 and a unit, like 10/s, 600/m or 36000/h, "
      "not \"many\"; requests are not limited\n");
}

TEST_F(IngressRulesTest, the_older_of_two_has_the_path) {
  add_service("new", "10.42.0.6", "80");
  add("a", R"("rules":[{"host":"h","http":{"paths":[{"path":"/","pathType":"Prefix","backend":)" + backend("new") + "}]}}]",
      "2026-01-02T00:00:00Z");
  add("b", R"("rules":[{"host":"h","http":{"paths":[{"path":"/","pathType":"Prefix","backend":)" + backend("web") + "}]}}]");
  EXPECT_EQ(ask(config(), "h", "/"), "10.42.0.5:8080 ");
}

TEST_F(IngressRulesTest, certificates_are_found_by_name) {
  add("web", R"("tls":[{"hosts":["shop.example","*.wild.example"],"secretName":"one"},{"hosts":["bad"],"secretName":"gone"}],"rules":[])");
  EXPECT_FALSE(config().ports.contains(443)) << "no certificate yet";
  EXPECT_EQ(problems, "shop/web: TLS: there is no Secret shop/one\nshop/web: TLS: there is no Secret shop/gone\n");
  add_secret("one");
  const Config made = config();
  ASSERT_TRUE(made.ports.contains(443));
  const Certificates& certificates = made.ports.at(443).certificates;
  const Certificate* shop = certificates.of_client("shop.example");
  ASSERT_TRUE(shop);
  const auto one = shop->context;
  EXPECT_EQ(certificates.of_client("A.wild.example")->context, one);
  EXPECT_EQ(certificates.of_client("elsewhere"), nullptr);
  EXPECT_EQ(certificates.of_client(""), shop) << "who asks for no name gets the first";
  EXPECT_EQ(config().ports.at(443).certificates.of_client("shop.example")->context, one) << "made once";
  const WallTime long_ago = std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now()) - std::chrono::hours(24 * 30);
  const auto old = io::make_certificate(*io::make_ca("old", long_ago),
                                        {.common_name = "old", .server = true, .lifetime = std::chrono::hours(1)}, long_ago);
  client.merge(client::secrets, "shop", "one",
               R"({"data":{"tls.crt":")" + base64_encode(old->certificate_pem) + R"(","tls.key":")" + base64_encode(old->key_pem) + "\"}}");
  EXPECT_TRUE(config().ports.contains(443)) << "clients judge";
  EXPECT_NE(problems.find("TLS: Secret shop/one: the certificate has expired at 20"), std::string::npos) << problems;
  client.merge(client::secrets, "shop", "one", R"({"data":{"tls.crt":"bm8="}})");
  EXPECT_FALSE(config().ports.contains(443));
  EXPECT_NE(problems.find("Secret shop/one: "), std::string::npos) << problems;
}

TEST_F(IngressRulesTest, a_connection_serves_the_hosts_of_its_certificate) {
  add_secret("one");
  add_secret("two");
  add("web", R"("tls":[{"hosts":["a.example","b.example"],"secretName":"one"},{"hosts":["c.example"],"secretName":"two"}],"rules":[])");
  const Config made = config();
  ASSERT_TRUE(made.ports.contains(443));
  const auto direct = [&](std::string_view server_name, std::string_view host) {
    return made.ports.at(443).direct(server_name, host).status;
  };
  EXPECT_EQ(direct("a.example", "a.example"), 0);
  EXPECT_EQ(direct("a.example", "b.example"), 0) << "the same certificate";
  EXPECT_EQ(direct("a.example", "c.example"), 421);
  EXPECT_EQ(direct("a.example", "without.example"), 404) << "no certificate is for this host";
  EXPECT_EQ(direct("", "a.example"), 0) << "who asked for no name got the first";
  EXPECT_EQ(direct("", "c.example"), 421);
  EXPECT_EQ(direct("", "10.0.0.1"), 0) << "by the address";
  EXPECT_EQ(direct("gone.example", "gone.example"), 421) << "the certificate has gone since";
  EXPECT_EQ(made.ports.at(80).direct("", "c.example").status, 0);
}

}  // namespace
}  // namespace estiba::ingress
