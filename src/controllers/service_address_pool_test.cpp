#include "controllers/load_balancer_pool.h"
#include "controllers/table.h"
#include "controllers/testing/cluster.h"
#include "model/types/core_v1.h"

namespace estiba::controllers {
namespace {

using model::core_v1::Service;

Result<LoadBalancerPool> pool(std::vector<std::string> texts) { return LoadBalancerPool::parse(texts); }
std::string refused(const std::string& text) { return pool({text}).error().message; }
std::vector<std::string> all_of(const LoadBalancerPool& pool, bool v6) {
  std::vector<std::string> out;
  while (auto address = pool.first_free(v6, [&](const Address& a) { return std::ranges::contains(out, a.text()); }))
    out.push_back(address->text());
  return out;
}

TEST(LoadBalancerPool, IsRangesPrefixesAndAddresses) {
  const auto made = pool({"192.0.2.240-192.0.2.241, 192.0.2.8/31", "2001:db8::/126", "2001:db8::9"});
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(all_of(*made, false), (std::vector<std::string>{"192.0.2.240", "192.0.2.241", "192.0.2.8", "192.0.2.9"}));
  EXPECT_EQ(all_of(*made, true), (std::vector<std::string>{"2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::9"}));
  EXPECT_TRUE(made->contains(*Address::parse("192.0.2.241")));
  EXPECT_FALSE(made->contains(*Address::parse("192.0.2.242")));
  EXPECT_EQ(made->overlapping(*Prefix::parse("192.0.2.0/29")), std::nullopt);
  EXPECT_EQ(made->overlapping(*Prefix::parse("192.0.2.0/28")), "192.0.2.8/31");
  EXPECT_EQ(made->text(), "192.0.2.240-192.0.2.241,192.0.2.8/31,2001:db8::/126,2001:db8::9");
  EXPECT_TRUE(all_of(*pool({"255.255.255.255"}), false).size() == 1) << "the last address has none after it";
}

TEST(LoadBalancerPool, SaysWhatIsWrong) {
  EXPECT_TRUE(refused("192.0.2.9-192.0.2.1").starts_with("\"192.0.2.9-192.0.2.1\" is a range that ends before it begins: name an address"));
  EXPECT_TRUE(refused("192.0.2.9-2001:db8::1").contains("a range between two families"));
  EXPECT_TRUE(refused("192.0.2.1/24").contains("no prefix"));
  EXPECT_TRUE(refused("192.0.2.").contains("no address"));
  EXPECT_TRUE(refused("").contains("no address"));
  EXPECT_EQ(refused("192.0.2.0/28,192.0.2.15-192.0.2.20"), "192.0.2.15-192.0.2.20 and 192.0.2.0/28 overlap");
}

struct ServiceAddressPoolTest : ControllerTest {
  void start_with(std::vector<std::string> texts) {
    options.load_balancer_pool = *pool(std::move(texts));
    start({make_service_load_balancer});
  }
  void add(const std::string& name, const std::string& spec = "", const std::string& annotations = "{}") {
    executor.advance(std::chrono::seconds(1));
    server.add(client::services, "x",
               R"({"apiVersion":"v1","kind":"Service","metadata":{"name":")" + name + R"(","annotations":)" + annotations +
                   R"(},"spec":{"type":"LoadBalancer","clusterIP":"10.43.0.5","ports":[{"port":80}])" + spec + "}}");
    executor.run();
  }
  void change(const std::string& name, const std::string& patch, std::string_view subresource = "") {
    server.merge(client::services, "x", name, patch, std::string(subresource));
    executor.run();
  }
  const Service& service(const std::string& name) { return (kept = server.find(client::services, "x", name)).as<Service>(); }
  std::string addresses(const std::string& name) {
    std::string all;
    if (const auto& balancer = service(name).status.loadBalancer)
      for (const auto& ingress : balancer->ingress) all += (all.empty() ? "" : " ") + ingress.ip;
    return all;
  }
  std::string why(const std::string& name) {
    for (const auto& condition : service(name).status.conditions)
      if (condition.type == "estiba.dev/LoadBalancerAddress") return condition.message;
    return "no condition";
  }
  model::ObjectRef kept;
};

TEST_F(ServiceAddressPoolTest, EachServiceHasOneOfItsOwn) {
  start_with({"192.0.2.240-192.0.2.241"});
  add("a");
  add("b");
  EXPECT_EQ(addresses("a"), "192.0.2.240");
  EXPECT_EQ(addresses("b"), "192.0.2.241");
  EXPECT_EQ(service("a").status.loadBalancer->ingress[0].ipMode, "VIP");
  const int64_t revision = server.revision();
  executor.advance(std::chrono::minutes(1));
  EXPECT_EQ(server.revision(), revision) << "nothing is written twice";
}

TEST_F(ServiceAddressPoolTest, WhoComesTooLateIsToldAndServedWhenOneIsFree) {
  start_with({"192.0.2.240-192.0.2.241"});
  for (const char* name : {"a", "b", "c", "d"}) add(name);
  EXPECT_EQ(addresses("c"), "");
  EXPECT_EQ(why("c"),
            "no IPv4 address of the pool 192.0.2.240-192.0.2.241 is free for the service x/c: add some with --load-balancer-pool, or "
            "delete another "
            "Service of type LoadBalancer");
  server.erase(client::services, "x", "a");
  executor.run();
  EXPECT_EQ(addresses("c") + addresses("d"), "192.0.2.240") << "one of both";
  change("b", R"({"spec":{"type":"ClusterIP"}})");
  EXPECT_EQ(addresses("b"), "");
  EXPECT_TRUE(service("b").status.conditions.empty());
  EXPECT_NE(addresses("c"), addresses("d"));
  EXPECT_NE(addresses("c"), "");
  EXPECT_NE(addresses("d"), "");
}

TEST_F(ServiceAddressPoolTest, WishesAreKeptOrRefused) {
  start_with({"192.0.2.240-192.0.2.250"});
  add("a", R"(,"loadBalancerIP":"192.0.2.245")");
  EXPECT_EQ(addresses("a"), "192.0.2.245");
  add("b", R"(,"loadBalancerIP":"192.0.2.1")", R"({"estiba.dev/load-balancer-addresses":"192.0.2.246"})");
  EXPECT_EQ(addresses("b"), "192.0.2.246") << "the annotation goes before the field";
  add("c", R"(,"loadBalancerIP":"192.0.2.245")");
  EXPECT_EQ(why("c"), "spec.loadBalancerIP asks for 192.0.2.245, which the service x/a has: ask for another one");
  add("d", R"(,"loadBalancerIP":"192.0.2.1")");
  EXPECT_TRUE(why("d").starts_with("spec.loadBalancerIP asks for 192.0.2.1, which is not in the pool 192.0.2.240-192.0.2.250")) << why("d");
  add("e", "", R"({"estiba.dev/load-balancer-addresses":"192.0.2.247,192.0.2.248"})");
  EXPECT_TRUE(why("e").contains("two addresses of IPv4")) << why("e");
  add("f", "", R"({"estiba.dev/load-balancer-addresses":"tomorrow"})");
  EXPECT_TRUE(why("f").starts_with("estiba.dev/load-balancer-addresses: ")) << why("f");
  server.erase(client::services, "x", "a");
  executor.run();
  EXPECT_EQ(addresses("c"), "192.0.2.245");
  change("b", R"({"metadata":{"annotations":{"estiba.dev/load-balancer-addresses":"192.0.2.250"}}})");
  EXPECT_EQ(addresses("b"), "192.0.2.250");
}

TEST_F(ServiceAddressPoolTest, AddressesAreOfTheServicesFamilies) {
  start_with({"192.0.2.240/32", "2001:db8::10-2001:db8::11"});
  add("both", R"(,"ipFamilyPolicy":"RequireDualStack","ipFamilies":["IPv6","IPv4"])");
  EXPECT_EQ(addresses("both"), "2001:db8::10 192.0.2.240");
  add("six", R"(,"ipFamilies":["IPv6"])");
  EXPECT_EQ(addresses("six"), "2001:db8::11");
  change("both", R"({"spec":{"ipFamilyPolicy":"SingleStack","ipFamilies":["IPv6"]}})");
  EXPECT_EQ(addresses("both"), "2001:db8::10");
  add("four");
  EXPECT_EQ(addresses("four"), "192.0.2.240");
  stop();
  start_with({"192.0.2.0/24"});
  add("required", R"(,"ipFamilyPolicy":"RequireDualStack","ipFamilies":["IPv4","IPv6"])");
  EXPECT_EQ(addresses("required"), "");
  EXPECT_EQ(why("required"), "the pool 192.0.2.0/24 has no IPv6 addresses: add some with --load-balancer-pool");
  add("preferred", R"(,"ipFamilyPolicy":"PreferDualStack","ipFamilies":["IPv4","IPv6"])");
  EXPECT_EQ(addresses("preferred"), "192.0.2.0");
}

TEST_F(ServiceAddressPoolTest, NodesAddressesAreNotGivenAway) {
  start_with({"192.0.2.240-192.0.2.242"});
  const auto node = [&](const std::string& name, const std::string& address) {
    server.add(client::nodes, "",
               R"({"apiVersion":"v1","kind":"Node","metadata":{"name":")" + name +
                   R"("},"status":{"addresses":[{"type":"InternalIP","address":")" + address + "\"}]}}");
    executor.run();
  };
  node("one", "192.0.2.240");
  add("a");
  EXPECT_EQ(addresses("a"), "192.0.2.241");
  node("two", "192.0.2.241");
  EXPECT_EQ(addresses("a"), "192.0.2.242");
  add("b", R"(,"loadBalancerIP":"192.0.2.240")");
  EXPECT_TRUE(why("b").contains("which the node one has")) << why("b");
}

TEST_F(ServiceAddressPoolTest, OthersServicesAreLeftAlone) {
  start_with({"192.0.2.240-192.0.2.242"});
  add("classed", R"(,"loadBalancerClass":"example.com/other")");
  EXPECT_EQ(addresses("classed"), "");
  EXPECT_EQ(why("classed"), "no condition");
  add("ours", R"(,"loadBalancerClass":"estiba.dev/load-balancer")");
  EXPECT_EQ(addresses("ours"), "192.0.2.240");
  stop();
  add("cloud");
  change("cloud", R"({"status":{"loadBalancer":{"ingress":[{"ip":"198.51.100.1"}]}}})", "status");
  start_with({"192.0.2.240-192.0.2.242"});
  EXPECT_EQ(addresses("cloud"), "198.51.100.1");
}

TEST_F(ServiceAddressPoolTest, ARestartGoesOnAndAnotherPoolMovesThoseThatAreNotInIt) {
  start_with({"192.0.2.240-192.0.2.242"});
  add("a");
  add("b");
  server.erase(client::services, "x", "a");
  executor.run();
  stop();
  start_with({"192.0.2.240-192.0.2.242"});
  EXPECT_EQ(addresses("b"), "192.0.2.241") << "it keeps what it has";
  stop();
  start_with({"192.0.2.10"});
  EXPECT_EQ(addresses("b"), "192.0.2.10");
  stop();
  options.load_balancer_pool = {};
  start({make_service_load_balancer});
  EXPECT_EQ(addresses("b"), "") << "without a pool and without a node there is no address";
  ASSERT_EQ(service("b").status.conditions.size(), 1u);
  EXPECT_EQ(service("b").status.conditions[0].type, "estiba.dev/NodeAddresses");
}

}  // namespace
}  // namespace estiba::controllers
