#include "controllers/table.h"
#include "controllers/testing/cluster.h"
#include "model/types/core_v1.h"

namespace estiba::controllers {
namespace {

using model::core_v1::Service;

struct ServiceLoadBalancerTest : ControllerTest {
  void add_node(const std::string& name, const std::string& address, const std::string& labels = "{}") {
    server.add(client::nodes, "",
               R"({"apiVersion":"v1","kind":"Node","metadata":{"name":")" + name + R"(","labels":)" + labels +
                   R"(},"status":{"conditions":[{"type":"Ready","status":"True"}],"addresses":[{"type":"InternalIP","address":")" +
                   address + R"("},{"type":"Hostname","address":")" + name +
                   R"("}],"daemonEndpoints":{"kubeletEndpoint":{"Port":10250}}}})");
    executor.run();
  }
  void add_service(const std::string& name, const std::string& spec) {
    executor.advance(std::chrono::seconds(1));
    server.add(client::services, "x", R"({"apiVersion":"v1","kind":"Service","metadata":{"name":")" + name + R"("},"spec":)" + spec + "}");
    executor.run();
  }
  static std::string balanced(int port, const std::string& more = "") {
    return R"({"type":"LoadBalancer","clusterIP":"10.43.0.5","ports":[{"port":)" + std::to_string(port) + R"(,"protocol":"TCP"}])" + more +
           "}";
  }
  std::string addresses(const std::string& name) {
    std::string all;
    const auto& status = server.find(client::services, "x", name).as<Service>().status;
    if (status.loadBalancer)
      for (const auto& ingress : status.loadBalancer->ingress) all += ingress.ip + " ";
    return all;
  }
};

TEST_F(ServiceLoadBalancerTest, AddressesAreThoseOfReadyNodesAndFollowThem) {
  start({make_service_load_balancer});
  add_node("one", "192.0.2.1");
  add_node("apart", "192.0.2.9", R"({"node.kubernetes.io/exclude-from-external-load-balancers":""})");
  add_service("web", balanced(80));
  EXPECT_EQ(addresses("web"), "192.0.2.1 ");
  add_node("two", "192.0.2.2");
  EXPECT_EQ(addresses("web"), "192.0.2.1 192.0.2.2 ");
  server.merge(client::nodes, "", "one", R"({"status":{"conditions":[{"type":"Ready","status":"Unknown"}]}})", "status");
  executor.run();
  EXPECT_EQ(addresses("web"), "192.0.2.2 ");
  const int64_t revision = server.revision();
  executor.advance(std::chrono::minutes(1));
  EXPECT_EQ(server.revision(), revision) << "nothing is written twice";
  server.merge(client::services, "x", "web", R"({"spec":{"type":"ClusterIP"}})");
  executor.run();
  EXPECT_EQ(addresses("web"), "");
  EXPECT_TRUE(server.find(client::services, "x", "web").as<Service>().status.conditions.empty());
}

TEST_F(ServiceLoadBalancerTest, AddressesAreOfTheServicesFamilies) {
  start({make_service_load_balancer});
  add_node("one", "192.0.2.1");
  add_node("six", "2001:db8::1");
  add_service("web", balanced(80));
  EXPECT_EQ(addresses("web"), "192.0.2.1 ");
  server.merge(client::services, "x", "web", R"({"spec":{"ipFamilies":["IPv4","IPv6"]}})");
  executor.run();
  EXPECT_EQ(addresses("web"), "192.0.2.1 2001:db8::1 ");
  server.merge(client::services, "x", "web", R"({"spec":{"ipFamilies":["IPv6"]}})");
  executor.run();
  EXPECT_EQ(addresses("web"), "2001:db8::1 ");
}

TEST_F(ServiceLoadBalancerTest, LocalTrafficGoesToNodesWithAnEndpoint) {
  start({make_service_load_balancer});
  add_node("one", "192.0.2.1");
  add_node("two", "192.0.2.2");
  add_service("web", balanced(80, R"(,"externalTrafficPolicy":"Local")"));
  EXPECT_EQ(addresses("web"), "");
  server.add(
      client::endpoint_slices, "x",
      R"({"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"name":"web-1","labels":{"kubernetes.io/service-name":"web"}},"addressType":"IPv4",)"
      R"("endpoints":[{"addresses":["10.42.0.2"],"nodeName":"two","conditions":{"ready":true}},{"addresses":["10.42.1.2"],"nodeName":"one","conditions":{"ready":false}}]})");
  executor.run();
  EXPECT_EQ(addresses("web"), "192.0.2.2 ");
}

TEST_F(ServiceLoadBalancerTest, OthersServicesAreLeftAlone) {
  start({make_service_load_balancer});
  add_node("one", "192.0.2.1");
  add_service("classed", balanced(80, R"(,"loadBalancerClass":"example.com/other")"));
  add_service("plain", R"({"type":"NodePort","clusterIP":"10.43.0.5","ports":[{"port":80}]})");
  EXPECT_EQ(addresses("classed"), "");
  EXPECT_EQ(addresses("plain"), "");
  stop();
  add_service("cloud", balanced(81));
  server.merge(client::services, "x", "cloud", R"({"status":{"loadBalancer":{"ingress":[{"ip":"198.51.100.1"}]}}})", "status");
  start({make_service_load_balancer});
  EXPECT_EQ(addresses("cloud"), "198.51.100.1 ") << "a cloud's controller has written it";
}

TEST_F(ServiceLoadBalancerTest, APortIsTheOldersAndNeverTheClusters) {
  start({make_service_load_balancer});
  add_node("one", "192.0.2.1");
  add_service("first", balanced(80));
  add_service("second", balanced(80));
  add_service("kubelet", balanced(10250));
  EXPECT_EQ(addresses("first"), "192.0.2.1 ");
  EXPECT_EQ(addresses("second"), "");
  EXPECT_EQ(addresses("kubelet"), "");
  server.erase(client::services, "x", "first");
  executor.run();
  EXPECT_EQ(addresses("second"), "192.0.2.1 ");
}

}  // namespace
}  // namespace estiba::controllers
