#include "network/bridge/plan.h"

#include <gtest/gtest.h>

#include "network/bridge/files.h"
#include "network/bridge/names.h"
#include "network/bridge/record.h"

namespace estiba::network::bridge {

static Prefix prefix(std::string_view text) { return *Prefix::parse(text); }
static Address address(std::string_view text) { return *Address::parse(text); }

static Network planned(NetworkSpec spec, const std::vector<const Network*>& networks = {}, const std::vector<Prefix>& taken = {}) {
  auto network = plan_network(std::move(spec), networks, taken);
  EXPECT_TRUE(network) << network.error().message;
  return network ? *network : Network{};
}
static std::string refused(NetworkSpec spec, const std::vector<const Network*>& networks = {}) {
  auto network = plan_network(std::move(spec), networks, {});
  return network ? "" : network.error().message;
}

TEST(PlanTest, PoolsAvoidWhatIsTaken) {
  Network first = planned({.name = "a"});
  EXPECT_EQ(first.v4->subnet.text(), "172.17.0.0/16");
  EXPECT_EQ(first.v4->gateway.text(), "172.17.0.1");
  EXPECT_EQ(first.info.link, "br-" + first.info.id.substr(0, 12));
  Network second = planned({.name = "b"}, {&first}, {prefix("172.18.4.0/24"), prefix("172.19.0.0/16")});
  EXPECT_EQ(second.v4->subnet.text(), "172.20.0.0/16");
  Network far = planned({.name = "c"}, {&first}, {prefix("172.16.0.0/12"), prefix("192.168.0.0/19")});
  EXPECT_EQ(far.v4->subnet.text(), "192.168.32.0/20");
  auto none = plan_network({.name = "d"}, {}, {prefix("172.0.0.0/8"), prefix("192.168.0.0/16")});
  ASSERT_FALSE(none);
  EXPECT_TRUE(none.error().message.starts_with("all predefined address pools have been fully subnetted")) << none.error().message;
}

TEST(PlanTest, ASubnetIsAsItsUserSays) {
  Network network = planned(
      {.name = "red",
       .enable_ipv6 = true,
       .subnets = {{.subnet = "10.9.0.0/16", .range = "10.9.8.0/24", .gateway = "10.9.255.254", .auxiliary = {{"printer", "10.9.8.0"}}},
                   {.subnet = "fd00:9::/64"}}});
  EXPECT_TRUE(network.info.own_subnet);
  Addresses used;
  EXPECT_EQ(used.take(*network.v4)->text(), "10.9.8.1");
  EXPECT_EQ(used.take(*network.v4)->text(), "10.9.8.2");
  EXPECT_EQ(network.v6->gateway.text(), "fd00:9::1");
  EXPECT_EQ(used.take(*network.v6)->text(), "fd00:9::2");
  EXPECT_TRUE(used.take(*network.v4, address("10.9.0.5")));
  EXPECT_EQ(used.take(*network.v4, address("10.9.0.5")).error().message, "Address already in use: 10.9.0.5");
  EXPECT_EQ(used.take(*network.v4, address("10.9.255.254")).error().code, Code::forbidden) << "the gateway";
  EXPECT_EQ(used.take(*network.v4, address("10.10.0.1")).error().message, "no configured subnet contains IP address 10.10.0.1");
  used.give_back(address("10.9.8.1"));
  EXPECT_EQ(used.take(*network.v4)->text(), "10.9.8.1");
}

TEST(PlanTest, SmallSubnetsFillUp) {
  Network network = planned({.name = "tiny", .subnets = {{.subnet = "10.9.0.0/30"}}});
  Addresses used;
  EXPECT_EQ(used.take(*network.v4)->text(), "10.9.0.2");
  auto full = used.take(*network.v4);
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().message, "no available IPv4 addresses on this network's address pools: 10.9.0.0/30");
  EXPECT_FALSE(plan_network({.name = "none", .subnets = {{.subnet = "10.9.0.0/32"}}}, {}, {}));
}

TEST(PlanTest, AnIpv6OnlyNetwork) {
  Network network = planned({.name = "six", .enable_ipv4 = false, .enable_ipv6 = true});
  EXPECT_FALSE(network.v4);
  EXPECT_EQ(network.v6->subnet.length, 64);
  EXPECT_EQ(network.v6->subnet.address.bytes[0], 0xfd);
}

TEST(PlanTest, BadInputIsNamed) {
  Network red = planned({.name = "red", .subnets = {{.subnet = "10.9.0.0/16"}}});
  EXPECT_EQ(refused({.name = "host"}), "operation is not permitted on predefined host network");
  EXPECT_EQ(refused({.name = "red"}, {&red}), "network with name red already exists");
  EXPECT_EQ(refused({.name = "a/b"}), "invalid network name \"a/b\": only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed");
  EXPECT_EQ(refused({.name = ""}), "invalid network name \"\": only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed");
  EXPECT_EQ(refused({.name = "x", .subnets = {{.subnet = "10.9.8.0/24"}}}, {&red}),
            "invalid pool request: Pool overlaps with other one on this address space: 10.9.8.0/24 with 10.9.0.0/16 of the network red");
  EXPECT_EQ(refused({.name = "x", .subnets = {{.subnet = "10.1.2.3/8"}}}),
            "invalid network config: invalid subnet 10.1.2.3/8: it should be 10.0.0.0/8");
  EXPECT_EQ(refused({.name = "x", .subnets = {{.subnet = "nonsense"}}}),
            "invalid network config: invalid subnet nonsense: invalid CIDR block notation");
  EXPECT_EQ(refused({.name = "x", .subnets = {{.subnet = "10.0.0.0/24", .gateway = "10.1.0.1"}}}),
            "invalid network config: invalid gateway 10.1.0.1: it is not within the subnet 10.0.0.0/24");
  EXPECT_EQ(refused({.name = "x", .subnets = {{.subnet = "fd00::/64"}}}),
            "invalid network config: IPv6 is disabled, but the subnet fd00::/64 is IPv6: use --ipv6");
  EXPECT_EQ(refused({.name = "x", .driver = "weave"}), "could not find plugin weave in v1 plugin registry: plugin not found");
  EXPECT_EQ(refused({.name = "x", .driver = "macvlan"}), "the network driver macvlan is not offered by this engine: use bridge");
  EXPECT_EQ(refused({.name = "x", .options = {{"com.docker.network.driver.mtu", "big"}}}),
            "invalid MTU \"big\" in com.docker.network.driver.mtu");
  EXPECT_FALSE(parse_mac("02:42:ac:11:00"));
  EXPECT_FALSE(parse_mac("03:42:ac:11:00:02")) << "multicast";
  EXPECT_EQ(mac_text(*parse_mac("02:42:AC:11:00:02")), "02:42:ac:11:00:02");
}

TEST(RecordTest, NetworksAndSandboxesOutliveTheProcess) {
  Network network = planned({.name = "red",
                             .internal = true,
                             .enable_ipv6 = true,
                             .subnets = {{.subnet = "10.9.0.0/16", .range = "10.9.8.0/24"}},
                             .options = {{"com.docker.network.bridge.enable_icc", "false"}, {"com.docker.network.driver.mtu", "1400"}},
                             .labels = {{"a", "b"}}});
  auto back = parse_network(network_text(network));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(network_text(*back), network_text(network));
  EXPECT_EQ(back->v6->gateway, network.v6->gateway);
  EXPECT_FALSE(back->icc);
  EXPECT_EQ(back->mtu, 1400);

  Sandbox box{.id = std::string(64, 'a'),
              .container_id = "c",
              .container_name = "web",
              .wishes = {{80, Protocol::tcp, "", 8080, 8090}},
              .ports = {{80, Protocol::tcp, "0.0.0.0", 8080}},
              .dns = {{"1.1.1.1"}, {"example.org"}, {"ndots:2"}}};
  box.endpoints.push_back({.network_id = network.info.id,
                           .id = "e",
                           .interface_name = "eth0",
                           .veth = "ed00",
                           .mac = std::string("\x02\x42\x00\xff\x01\x02", 6),
                           .v4 = address("10.9.8.1"),
                           .v6 = address("fd00::2"),
                           .aliases = {"w"},
                           .links = {{"db", "base"}},
                           .gw_priority = -3});
  auto again = parse_sandbox(sandbox_text(box));
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(sandbox_text(*again), sandbox_text(box));
  EXPECT_EQ(again->endpoints[0].mac, box.endpoints[0].mac);
  EXPECT_FALSE(parse_sandbox("{}"));
  EXPECT_FALSE(parse_network("[]"));
}

TEST(NamesTest, AreThoseOfTheNetworksThatOneIsIn) {
  auto red = std::make_shared<NetworkNames>(
      NetworkNames{.network = "red",
                   .names = {{"web", {address("10.9.0.2"), address("fd00::2")}}, {"db", {address("10.9.0.3")}}},
                   .reverse = {{address("10.9.0.2"), "web.red"}, {address("fd00::2"), "web.red"}}});
  Directory directory{{"r", red}};
  Asker asker{.networks = {{.id = "r", .links = {{"base", "db"}}}}};
  auto ask = [&](const char* name, uint16_t type) { return answer(directory, asker, *dns::make_name(name), type); };
  for (const char* name : {"web", "WEB", "web.red", "Web.Red"}) {
    auto found = ask(name, dns::type_a);
    ASSERT_TRUE(found) << name;
    ASSERT_EQ(found->reply.answers.size(), 1u);
    EXPECT_EQ(found->reply.answers[0].data, address("10.9.0.2").raw());
  }
  EXPECT_EQ(ask("web", dns::type_aaaa)->reply.answers.size(), 1u);
  EXPECT_TRUE(ask("db", dns::type_aaaa)->reply.answers.empty()) << "known, but without such an address";
  EXPECT_EQ(ask("base", dns::type_a)->reply.answers[0].data, address("10.9.0.3").raw());
  EXPECT_EQ(dns::text_of(ask("2.0.9.10.in-addr.arpa", dns::type_ptr)->reply.answers[0].data), dns::text_of(*dns::make_name("web.red")));
  EXPECT_TRUE(ask("2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa", dns::type_ptr));
  EXPECT_FALSE(ask("example.org", dns::type_a));
  EXPECT_FALSE(ask("9.9.9.9.in-addr.arpa", dns::type_ptr));
  asker.forwards = false;
  EXPECT_EQ(ask("example.org", dns::type_a)->reply.rcode, dns::name_error);
  EXPECT_FALSE(answer({}, Asker{}, *dns::make_name("web"), dns::type_a)) << "another network's";
}

TEST(FilesTest, ResolvConfIsTheHostsButForNames) {
  std::string host = "nameserver 192.0.2.53\nsearch example.org\noptions edns0\n";
  EXPECT_EQ(container_resolv_conf({}, host, false), "search example.org\nnameserver 192.0.2.53\noptions edns0\n");
  EXPECT_EQ(container_resolv_conf({}, host, true), "search example.org\nnameserver 127.0.0.11\noptions edns0 ndots:0\n");
  EXPECT_EQ(container_resolv_conf({}, "nameserver 127.0.0.53\n", false), "nameserver 127.0.0.11\n") << "by way of the host";
  EXPECT_EQ(container_resolv_conf({{"1.1.1.1"}, {"."}, {"ndots:3"}}, host, false), "nameserver 1.1.1.1\noptions ndots:3\n");
  EXPECT_EQ(container_resolv_conf({{"1.1.1.1"}, {}, {}}, host, true), "search example.org\nnameserver 127.0.0.11\noptions edns0 ndots:0\n");
  EXPECT_EQ(host_network_resolv_conf({}, host), host);
  SandboxInfo box{.endpoints = {{.ipv4 = "172.17.0.2"}}};
  std::string hosts = container_hosts(box, "web", "", {{"gateway", "172.17.0.1"}});
  EXPECT_TRUE(hosts.starts_with("127.0.0.1\tlocalhost\n")) << hosts;
  EXPECT_TRUE(hosts.ends_with("172.17.0.1\tgateway\n172.17.0.2\tweb\n")) << hosts;
}

}  // namespace estiba::network::bridge
