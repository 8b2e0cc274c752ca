#include "network/mesh/routes.h"

#include "model/types/core_v1.h"
#include "network/mesh/mesh.h"
#include "network/testing.h"

namespace estiba::network::mesh {
namespace {

using os::rtnl::Route;

Address address(std::string_view text) { return *Address::parse(text); }
Peer peer(const std::string& name, std::string_view where, std::string_view pods) {
  return {name, {address(where)}, {*Prefix::parse(pods)}};
}

Route route(std::string_view prefix, int index, std::string_view gateway = {}, uint32_t metric = 0) {
  const Prefix parsed = *Prefix::parse(prefix);
  Route out{.prefix_length = parsed.length, .index = index, .family = uint8_t(parsed.address.v6 ? 10 : 2), .metric = metric};
  if (parsed.length) out.destination = std::string(parsed.address.raw());
  if (!gateway.empty()) out.gateway = std::string(address(gateway).raw());
  return out;
}

TEST(MeshWay, IsThatOfTheLongestPrefix) {
  const std::vector<Route> routes = {route("0.0.0.0/0", 2, "10.0.0.1"), route("10.0.0.0/24", 2), route("10.0.0.128/25", 3),
                                     route("10.42.0.0/24", 9)};
  const auto way = [&](std::string_view to, std::vector<int> skip = {9}) { return way_to(routes, address(to), skip); };
  EXPECT_EQ(way("10.0.0.7")->index, 2);
  EXPECT_FALSE(way("10.0.0.7")->routed);
  EXPECT_EQ(way("10.0.0.200")->index, 3);
  EXPECT_TRUE(way("10.9.0.7")->routed);
  EXPECT_TRUE(way("10.42.0.7")->routed) << "a link to pods leads to no node";
  EXPECT_FALSE(way_to({route("10.0.0.0/24", 2)}, address("10.9.0.7"), {}));
  EXPECT_EQ(way_to({route("0.0.0.0/0", 2, "10.0.0.1", 100), route("0.0.0.0/0", 3, "10.1.0.1", 50)}, address("10.9.0.7"), {})->index, 3);
}

model::ObjectRef node(const std::string& name, const std::string& where, const std::string& pods, const std::string& made) {
  return {*model::Object::parse(R"({"apiVersion":"v1","kind":"Node","metadata":{"name":")" + name + R"(","creationTimestamp":")" + made +
                                R"("},"spec":{"podCIDR":")" + pods +
                                R"("},"status":{"addresses":[{"type":"Hostname","address":"x"},{"type":"InternalIP","address":")" + where +
                                "\"}]}}"),
          1};
}

TEST(MeshPeers, AreTheOtherNodesThatCanBeReached) {
  const std::string early = "2026-11-29T10:00:00Z", late = "2026-11-29T11:00:00Z";
  const auto peers = peers_of({node("c", "10.0.0.3", "10.42.2.0/24", late), node("a", "10.0.0.1", "10.42.0.0/24", early),
                               node("me", "10.0.0.2", "10.42.1.0/24", early), node("new", "10.0.0.4", "", late),
                               node("thief", "10.0.0.5", "10.42.1.0/25", late), node("six", "fd00::1", "10.42.3.0/24", late)},
                              "me");
  ASSERT_EQ(peers.size(), 3u);
  EXPECT_EQ(peers[0], peer("a", "10.0.0.1", "10.42.0.0/24"));
  EXPECT_EQ(peers[1], peer("c", "10.0.0.3", "10.42.2.0/24"));
  EXPECT_EQ(peers[2], peer("six", "fd00::1", "10.42.3.0/24")) << "nodes may be reached by IPv6 and have pods of IPv4: by a tunnel";
}

class MeshRoutesTest : public NetTest {
 protected:
  void SetUp() override {
    NetTest::SetUp();
    if (IsSkipped()) return;
    sh("ip link add eth7 type veth peer name far7 && ip address add 10.0.0.2/24 dev eth7 && ip link set eth7 up && ip link set far7 up && "
       "ip link set eth7 mtu 1400 && ip route add default via 10.0.0.1");
    ASSERT_TRUE(routes_.open());
  }
  void TearDown() override {
    if (!IsSkipped()) sh("ip link delete eth7; ip -6 route flush dev eth7 2>/dev/null");
    NetTest::TearDown();
  }
  static std::string ours() { return sh("ip route show proto 207"); }
  static Routes::Config config() { return {.sides = *sides_of("10.42.1.0/24", "10.42.0.0/16", "10.43.0.0/16"), .bridge = "estiba0"}; }
  Routes routes_{config()};
};

TEST_F(MeshRoutesTest, ANeighbourGetsAPlainRouteAndAnotherATunnel) {
  ASSERT_TRUE(routes_.apply({peer("near", "10.0.0.9", "10.42.2.0/24")}));
  EXPECT_EQ(ours(), "10.42.2.0/24 via 10.0.0.9 dev eth7 onlink \n");
  EXPECT_EQ(sh("ip -o link show type vxlan"), "");

  auto applied = routes_.apply({peer("near", "10.0.0.9", "10.42.2.0/24"), peer("far", "172.20.0.9", "10.42.3.0/24")});
  ASSERT_TRUE(applied) << applied.error().message;
  EXPECT_EQ(ours(), "10.42.2.0/24 via 10.0.0.9 dev eth7 onlink \n10.42.3.0/24 via 10.42.3.0 dev estiba-vxlan onlink \n");
  EXPECT_TRUE(sh("ip -d -o link show estiba-vxlan").contains("mtu 1350")) << sh("ip -d -o link show estiba-vxlan");
  EXPECT_TRUE(sh("ip -d -o link show estiba-vxlan").contains("0a:58:0a:2a:01:00"));
  EXPECT_TRUE(sh("ip neigh show dev estiba-vxlan").contains("10.42.3.0 lladdr 0a:58:0a:2a:03:00 PERMANENT"));
  EXPECT_TRUE(sh("bridge fdb show dev estiba-vxlan").contains("0a:58:0a:2a:03:00 dst 172.20.0.9"));

  // Again, as every change around the machine leads to.
  ASSERT_TRUE(routes_.apply({peer("near", "10.0.0.9", "10.42.2.0/24"), peer("far", "172.20.0.9", "10.42.3.0/24")}));
  EXPECT_TRUE(sh("ip neigh show dev estiba-vxlan").contains("10.42.3.0 lladdr 0a:58:0a:2a:03:00 PERMANENT"));
  // It moves; then another process goes on where this one was.
  ASSERT_TRUE(routes_.apply({peer("far", "172.20.0.10", "10.42.3.0/24")}));
  EXPECT_EQ(ours(), "10.42.3.0/24 via 10.42.3.0 dev estiba-vxlan onlink \n");
  const std::string entries = sh("bridge fdb show dev estiba-vxlan");
  EXPECT_TRUE(entries.contains("dst 172.20.0.10")) << entries;
  EXPECT_FALSE(entries.contains("dst 172.20.0.9 ")) << entries;
  Routes next(config());
  ASSERT_TRUE(next.open());
  ASSERT_TRUE(next.apply({peer("far", "10.0.0.10", "10.42.3.0/24")}));
  EXPECT_EQ(ours(), "10.42.3.0/24 via 10.0.0.10 dev eth7 onlink \n");
  ASSERT_TRUE(next.remove_all());
  EXPECT_EQ(ours(), "");
  EXPECT_EQ(sh("ip -o link show type vxlan"), "");
}

TEST_F(MeshRoutesTest, PartsOfBothFamiliesGoTheirWays) {
  sh("ip address add 2001:db8::2/64 dev eth7 nodad && ip -6 route add default via 2001:db8::1");
  Routes routes({.sides = *sides_of("10.42.1.0/24,fd00:42:0:1::/64", "10.42.0.0/16,fd00:42::/56", "10.43.0.0/16"), .bridge = "estiba0"});
  ASSERT_TRUE(routes.open());
  const auto both = [](const std::string& name, std::string_view four, std::string_view six, int part) {
    Peer out{name,
             {},
             {*Prefix::parse("10.42." + std::to_string(part) + ".0/24"), *Prefix::parse("fd00:42:0:" + std::to_string(part) + "::/64")}};
    if (!four.empty()) out.addresses.push_back(address(four));
    if (!six.empty()) out.addresses.push_back(address(six));
    return out;
  };
  const auto ours6 = [] { return sh("ip -6 route show proto 207 | sed 's/ metric.*//'"); };
  auto applied = routes.apply({both("near", "10.0.0.9", "2001:db8::9", 2)});
  ASSERT_TRUE(applied) << applied.error().message;
  EXPECT_EQ(ours(), "10.42.2.0/24 via 10.0.0.9 dev eth7 onlink \n");
  EXPECT_EQ(ours6(), "fd00:42:0:2::/64 via 2001:db8::9 dev eth7\n");
  EXPECT_EQ(sh("ip -o link show type vxlan"), "");
  // Behind a router both go by the tunnel, between IPv4 addresses; so does a part whose node has no address of its family.
  applied = routes.apply({both("far", "172.20.0.9", "2001:db8:1::9", 3), both("near", "10.0.0.9", "", 2)});
  ASSERT_TRUE(applied) << applied.error().message;
  EXPECT_EQ(ours(), "10.42.2.0/24 via 10.0.0.9 dev eth7 onlink \n10.42.3.0/24 via 10.42.3.0 dev estiba-vxlan onlink \n");
  EXPECT_EQ(ours6(), "fd00:42:0:2::/64 via fd00:42:0:2:: dev estiba-vxlan\nfd00:42:0:3::/64 via fd00:42:0:3:: dev estiba-vxlan\n");
  const std::string near = sh("ip neigh show dev estiba-vxlan"), entries = sh("bridge fdb show dev estiba-vxlan");
  EXPECT_TRUE(near.contains("fd00:42:0:3:: lladdr 0a:58:0a:2a:03:00 PERMANENT")) << near;
  EXPECT_TRUE(near.contains("10.42.3.0 lladdr 0a:58:0a:2a:03:00 PERMANENT")) << near;
  EXPECT_TRUE(entries.contains("0a:58:0a:2a:03:00 dst 172.20.0.9")) << entries;
  EXPECT_TRUE(entries.contains("0a:58:0a:2a:02:00 dst 10.0.0.9")) << entries;
  // One part of two goes: the entry of its node stays for the other.
  applied = routes.apply({both("far", "172.20.0.9", "2001:db8:1::9", 3), both("near", "10.0.0.9", "2001:db8::9", 2)});
  ASSERT_TRUE(applied) << applied.error().message;
  EXPECT_EQ(ours6(), "fd00:42:0:2::/64 via 2001:db8::9 dev eth7\nfd00:42:0:3::/64 via fd00:42:0:3:: dev estiba-vxlan\n");
  EXPECT_FALSE(sh("bridge fdb show dev estiba-vxlan").contains("dst 10.0.0.9"));
  ASSERT_TRUE(routes.remove_all());
  EXPECT_EQ(ours() + ours6(), "");
}

TEST_F(MeshRoutesTest, ATunnelBetweenIpv6Addresses) {
  sh("ip address add 2001:db8::2/64 dev eth7 nodad && ip -6 route add default via 2001:db8::1");
  Routes routes({.sides = *sides_of("fd00:42:0:1::/64", "fd00:42::/56", "fd00:43::/112"), .bridge = "estiba0"});
  ASSERT_TRUE(routes.open());
  auto applied = routes.apply({peer("far", "2001:db8:1::9", "fd00:42:0:3::/64")});
  ASSERT_TRUE(applied) << applied.error().message;
  const std::string device = sh("ip -d -o link show estiba-vxlan"), entries = sh("bridge fdb show dev estiba-vxlan");
  EXPECT_TRUE(device.contains("mtu 1330")) << device;
  EXPECT_TRUE(entries.contains("dst 2001:db8:1::9")) << entries;
  ASSERT_TRUE(routes.remove_all());
}

TEST_F(MeshRoutesTest, WhatALinkHasLostComesBack) {
  const std::vector<Peer> peers = {peer("near", "10.0.0.9", "10.42.2.0/24")};
  ASSERT_TRUE(routes_.apply(peers));
  sh("ip address flush dev eth7");
  EXPECT_EQ(ours(), "");
  EXPECT_TRUE(routes_.apply(peers)) << "there is no way now, which is no failure";
  sh("ip address add 10.0.0.3/24 dev eth7");
  ASSERT_TRUE(routes_.apply(peers));
  EXPECT_EQ(ours(), "10.42.2.0/24 via 10.0.0.9 dev eth7 onlink \n");
  ASSERT_TRUE(routes_.remove_all());
}

}  // namespace
}  // namespace estiba::network::mesh
