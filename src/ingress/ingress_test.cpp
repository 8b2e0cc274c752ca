// The whole of it on real loops and sockets, with objects of a fake API server.
#include "ingress/ingress.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/strings.h"
#include "client/testing/fake_client.h"
#include "ingress/ingress_rules.h"
#include "ingress/objects.h"
#include "ingress/status.h"
#include "io/http_test_support.h"

namespace estiba::ingress {
namespace {

using namespace std::chrono_literals;
using io::testing::Keys;

// Takes free ports by opening and closing them.
uint16_t free_port() {
  auto listener = io::Listener::tcp("127.0.0.1", 0);
  return listener->port();
}

size_t proxy_threads() {
  size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) {
    std::FILE* file = std::fopen((entry.path() / "comm").c_str(), "r");
    char name[32] = {};
    if (file && std::fgets(name, sizeof name, file)) count += std::string_view(name).starts_with("ingress-");
    if (file) std::fclose(file);
  }
  return count;
}

struct IngressTest : ::testing::Test {
  io::Loop loop;
  client::testing::FakeClient client{loop};
  io::HttpServer backend{{&loop}, {}, [](io::Request& request, io::Response& response) { return answer(request, response); }};
  uint16_t http = free_port(), https = free_port();

  static Task<void> answer(io::Request& request, io::Response& response) {
    response.send(200, {}, request.host + request.target);
    co_return;
  }
  void SetUp() override {
    ASSERT_TRUE(backend.listen_tcp("127.0.0.1", 0, nullptr));
    client.add(ingress_class_resource, {}, R"({"metadata":{"name":"estiba"},"spec":{"controller":"estiba.dev/ingress"}})");
    client.add(client::services, "shop", R"({"metadata":{"name":"web"},"spec":{"ports":[{"port":80}]}})");
    client.add(
        client::endpoint_slices, "shop",
        R"({"metadata":{"name":"web-1","labels":{"kubernetes.io/service-name":"web"}},"addressType":"IPv4","ports":[{"name":"","port":)" +
            std::to_string(backend.port()) + R"(}],"endpoints":[{"addresses":["127.0.0.1"]}]})");
    const auto& pair = Keys::get().server;
    client.add(client::secrets, "shop",
               R"({"metadata":{"name":"tls"},"data":{"tls.crt":")" + base64_encode(pair.certificate_pem) + R"(","tls.key":")" +
                   base64_encode(pair.key_pem) + "\"}}");
  }
  void add_ingress() {
    client.add(
        ingress_resource, "shop",
        R"({"metadata":{"name":"web"},"spec":{"ingressClassName":"estiba","tls":[{"hosts":["localhost"],"secretName":"tls"}],"rules":[
               {"http":{"paths":[{"path":"/","pathType":"Prefix","backend":{"service":{"name":"web","port":{"number":80}}}}]}}]}})");
  }
  template <class F>
  static Task<bool> until(F condition) {
    for (int i = 0; i < 1000; ++i) {
      if (condition()) co_return true;
      co_await sleep_for(5ms);
    }
    co_return false;
  }
  Task<std::string> fetch(std::string url, io::TlsContextRef tls = nullptr) {
    io::HttpClient client({.tls = tls});
    auto got = co_await client.fetch({.url = std::move(url)});
    co_return got ? std::to_string(got->status) + " " + got->body : "error: " + got.error().message;
  }
  static Task<void> whole_life(IngressTest* self) {
    Ingress ingress({.http_port = self->http, .https_port = self->https, .listeners = {.host = "127.0.0.1", .threads = 2}}, self->client);
    ingress.start();
    for (int i = 0; i < 20; ++i) co_await yield_now();
    EXPECT_EQ(ingress.open_ports(), 0u);
    EXPECT_EQ(proxy_threads(), 0u) << "nothing is there as long as nothing is wanted";
    EXPECT_EQ(self->client.calls.count("list secrets"), 0u);

    self->add_ingress();
    EXPECT_TRUE(co_await until([&] { return ingress.open_ports() == 2; }));
    EXPECT_EQ(proxy_threads(), 2u);
    const std::string port = std::to_string(self->http), secure = std::to_string(self->https);
    EXPECT_EQ(co_await self->fetch("http://localhost:" + port + "/x"), "200 localhost:" + port + "/x");
    for (const char* protocol : {"http/1.1", "h2"})
      EXPECT_EQ(co_await self->fetch("https://localhost:" + secure + "/s", Keys::get().client_tls({protocol})),
                "200 localhost:" + secure + "/s")
          << protocol;
    auto insecure = *io::make_tls_client({.server_name = "other.example", .insecure = true});
    EXPECT_TRUE((co_await self->fetch("https://localhost:" + secure + "/", insecure)).starts_with("error: "))
        << "no certificate for this name";

    self->client.merge(ingress_resource, "shop", "web", R"({"spec":{"tls":null}})");
    EXPECT_TRUE(co_await until([&] { return ingress.open_ports() == 1; }));
    EXPECT_TRUE((co_await self->fetch("http://localhost:" + port + "/x")).starts_with("200 "));
    self->client.erase(ingress_resource, "shop", "web");
    EXPECT_TRUE(co_await until([&] { return ingress.open_ports() == 0 && proxy_threads() == 0; }));
    co_await ingress.stop();
  }
  static Task<void> taken_port(IngressTest* self) {
    std::optional<io::Listener> other = *io::Listener::tcp("127.0.0.1", self->http);
    Ingress ingress({.http_port = self->http, .https_port = 0, .listeners = {.host = "127.0.0.1", .retry_interval = 1ms}}, self->client);
    ingress.start();
    self->add_ingress();
    EXPECT_TRUE(co_await until([&] { return self->client.calls.count("list secrets") == 1; }));
    co_await sleep_for(20ms);
    EXPECT_EQ(ingress.open_ports(), 0u);
    other.reset();
    EXPECT_TRUE(co_await until([&] { return ingress.open_ports() == 1; }));
    co_await ingress.stop();
  }
};

TEST_F(IngressTest, comes_and_goes_with_the_objects) { loop.block_on(whole_life(this)); }

TEST_F(IngressTest, a_port_that_is_taken_is_had_when_it_becomes_free) { loop.block_on(taken_port(this)); }

TEST_F(IngressTest, the_status_has_the_addresses_of_nodes_that_serve) {
  add_ingress();
  auto node = [&](std::string name, std::string address, std::string ready, std::string labels = R"({"estiba.dev/ingress":"true"})") {
    client.add(client::nodes, {},
               R"({"metadata":{"name":")" + name + R"(","labels":)" + labels + R"(},"status":{"conditions":[{"type":"Ready","status":")" +
                   ready + R"("}],"addresses":[{"type":"InternalIP","address":")" + address + "\"}]}}");
  };
  node("b", "10.0.0.2", "True");
  node("a", "10.0.0.1", "True");
  node("c", "10.0.0.3", "False");
  node("agent", "10.0.0.4", "True", "{}");
  struct Run {
    static Task<bool> go(client::testing::FakeClient* client) {
      StatusWriter writer(*client, {});
      writer.start();
      co_return co_await until([&] {
        return client->find(ingress_resource, "shop", "web").print().find(R"("ingress":[{"ip":"10.0.0.1"},{"ip":"10.0.0.2"}])") !=
               std::string::npos;
      });
    }
  };
  EXPECT_TRUE(loop.block_on(Run::go(&client)));
}

TEST_F(IngressTest, a_route_is_not_said_to_be_served_when_the_last_gateway_has_gone) {
  client.add(gateway_class_resource, {},
             R"({"kind":"GatewayClass","metadata":{"name":"estiba"},"spec":{"controllerName":"estiba.dev/gateway"}})");
  const std::string gateway =
      R"({"kind":"Gateway","metadata":{"name":"gw"},"spec":{"gatewayClassName":"estiba","listeners":[{"name":"http","protocol":"HTTP","port":80}]}})";
  client.add(gateway_resource, "shop", gateway);
  client.add(http_route_resource, "shop",
             R"({"kind":"HTTPRoute","metadata":{"name":"r"},"spec":{"parentRefs":[{"name":"gw"}],"rules":[{"backendRefs":[]}]}})");
  struct Run {
    static bool said(client::testing::FakeClient* client) {
      return client->find(http_route_resource, "shop", "r").print().find("estiba.dev/gateway") != std::string::npos;
    }
    static Task<void> go(client::testing::FakeClient* client, std::string gateway) {
      for (int round = 0; round < 2; ++round) {
        StatusWriter writer(*client, {});
        writer.start();
        EXPECT_TRUE(co_await until([&] { return said(client); })) << round;
        if (round > 0) co_return;
        client->erase(gateway_resource, "shop", "gw");
        EXPECT_TRUE(co_await until([&] { return !said(client); }));
        client->add(gateway_resource, "shop", gateway);
        EXPECT_TRUE(co_await until([&] { return said(client); })) << "again";
      }
    }
    static Task<void> unseen(client::testing::FakeClient* client) {
      client->erase(gateway_resource, "shop", "gw");
      StatusWriter writer(*client, {});
      writer.start();
      EXPECT_TRUE(co_await until([&] { return !said(client); })) << "it went while nobody saw it";
    }
  };
  loop.block_on(Run::go(&client, gateway));
  loop.block_on(Run::unseen(&client));
}

}  // namespace
}  // namespace estiba::ingress
