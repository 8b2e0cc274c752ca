#include "network/proxy/health_checks.h"

#include <gtest/gtest.h>

#include "client/testing/fake_client.h"
#include "io/http_client.h"

namespace estiba::network {
namespace {

using namespace std::chrono_literals;

struct HealthChecksTest : testing::Test {
  io::Loop loop;
  client::testing::FakeClient client{loop};
  std::string port = [] { return std::to_string(io::Listener::tcp("127.0.0.1", 0)->port()); }();

  static Task<std::string> ask(std::string port) {
    io::HttpClient client({});
    auto answer = co_await client.fetch({.url = "http://127.0.0.1:" + port + "/"});
    co_return answer ? std::to_string(answer->status) + " " + answer->body : "refused";
  }
  // Objects reach the informer some turns later.
  static Task<std::string> ask_until(std::string port, std::string_view begins) {
    std::string last;
    for (int i = 0; i < 500; ++i) {
      last = co_await ask(port);
      if (last.starts_with(begins)) break;
      co_await sleep_for(2ms);
    }
    co_return last;
  }
  static Task<void> run(HealthChecksTest* self) {
    ServiceObjects objects(self->client, "here");
    HealthChecks checks("here", objects);
    co_await objects.wait_synced();
    self->client.add(client::services, "shop",
                     R"({"metadata":{"name":"web"},"spec":{"externalTrafficPolicy":"Local","healthCheckNodePort":)" + self->port + "}}");
    EXPECT_EQ(co_await ask_until(self->port, "503"),
              R"(503 {"service":{"namespace":"shop","name":"web"},"localEndpoints":0,"serviceProxyHealthy":true})");
    self->client.add(client::endpoint_slices, "shop",
                     R"({"metadata":{"name":"web-1","labels":{"kubernetes.io/service-name":"web"}},"endpoints":[
        {"addresses":["10.42.0.5"],"nodeName":"here"},{"addresses":["10.42.0.6"],"nodeName":"here","conditions":{"ready":false}},
        {"addresses":["10.42.1.5"],"nodeName":"there"}]})");
    EXPECT_EQ(co_await ask_until(self->port, "200"),
              R"(200 {"service":{"namespace":"shop","name":"web"},"localEndpoints":1,"serviceProxyHealthy":true})");
    self->client.merge(client::services, "shop", "web", R"({"spec":{"externalTrafficPolicy":"Cluster"}})");
    EXPECT_EQ(co_await ask_until(self->port, "refused"), "refused") << "nothing listens for nothing";
  }
};

TEST_F(HealthChecksTest, answers_as_long_as_it_is_wanted) { loop.block_on(run(this)); }

}  // namespace
}  // namespace estiba::network
