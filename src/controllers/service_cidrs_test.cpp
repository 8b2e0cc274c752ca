#include "controllers/testing/cluster.h"

namespace estiba::controllers {
namespace {

using namespace std::chrono_literals;

constexpr client::Resource cidrs{"networking.k8s.io", "v1", "servicecidrs"}, addresses{"networking.k8s.io", "v1", "ipaddresses"};

struct ServiceCidrTest : ControllerTest {
  void add(const std::string& name, const std::string& network) {
    server.add(cidrs, {},
               R"({"apiVersion":"networking.k8s.io/v1","kind":"ServiceCIDR","metadata":{"name":")" + name + R"("},"spec":{"cidrs":[")" +
                   network + "\"]}}");
  }
  void add_address(const std::string& address, const std::string& manager = "ipallocator.k8s.io") {
    server.add(addresses, {},
               R"({"apiVersion":"networking.k8s.io/v1","kind":"IPAddress","metadata":{"name":")" + address +
                   R"(","labels":{"ipaddress.kubernetes.io/managed-by":")" + manager + R"("}}})");
  }
  bool has(const std::string& name) { return bool(server.find(cidrs, {}, name)); }
  std::string ready(const std::string& name) {
    auto object = server.find(cidrs, {}, name);
    if (!object) return "gone";
    auto doc = json::Document::parse(object.object->json());
    const json::Node* list = doc->root().at("status", "conditions");
    if (!list || list->empty()) return "nothing";
    return std::string((*list)[0].string_at("status")) + " " + std::string((*list)[0].string_at("reason"));
  }
};

TEST_F(ServiceCidrTest, ANewOneGetsItsFinalizerAndIsReady) {
  add("more", "10.50.0.0/24");
  start({make_service_cidr_controller});
  EXPECT_EQ(server.find(cidrs, {}, "more").meta().finalizers, std::vector<std::string>{"networking.k8s.io/service-cidr-finalizer"});
  EXPECT_EQ(ready("more"), "True ");
  // What is as it should be is not written again.
  const int64_t before = server.revision();
  executor.advance(1h);
  EXPECT_EQ(server.revision(), before);
}

TEST_F(ServiceCidrTest, ADeletedOneGoesAfterTheGrace) {
  add("more", "10.50.0.0/24");
  add_address("10.50.0.9", "somebody.else");
  start({make_service_cidr_controller});
  server.erase(cidrs, {}, "more");
  executor.advance(9s);
  EXPECT_TRUE(has("more"));
  executor.advance(2s);
  EXPECT_FALSE(has("more"));
}

TEST_F(ServiceCidrTest, AddressesKeepADeletedOneUntilTheyGo) {
  add("more", "10.50.0.0/24");
  add_address("10.50.0.9");
  start({make_service_cidr_controller});
  server.erase(cidrs, {}, "more");
  executor.advance(1min);
  EXPECT_EQ(ready("more"), "False Terminating");
  server.erase(addresses, {}, "10.50.0.9");
  executor.advance(11s);
  EXPECT_FALSE(has("more"));
}

TEST_F(ServiceCidrTest, AnotherOneThatHasTheAddressesLetsItGo) {
  add("more", "10.50.0.0/24");
  add_address("10.50.0.9");
  start({make_service_cidr_controller});
  server.erase(cidrs, {}, "more");
  executor.advance(1min);
  EXPECT_TRUE(has("more"));
  add("wider", "10.50.0.0/16");
  executor.advance(11s);
  EXPECT_FALSE(has("more"));
  // Of two that go, neither takes over from the other.
  add("narrow", "10.50.0.8/29");
  executor.advance(1s);
  server.erase(cidrs, {}, "wider");
  server.erase(cidrs, {}, "narrow");
  executor.advance(1min);
  EXPECT_TRUE(has("wider"));
  EXPECT_TRUE(has("narrow"));
}

}  // namespace
}  // namespace estiba::controllers
