#include "network/pod_network.h"

#include "base/strings.h"
#include "network/testing.h"

namespace estiba::network {

class PodNetworkTest : public NetTest {
 protected:
  PodNetwork::Config config() const {
    return {.run_dir = dir_, .bridge = "estiba0", .sides = *sides_of("10.42.0.0/24", "", "10.43.0.0/16"), .pool = 2};
  }
};

#define ASSERT_OK(...)                       \
  do {                                       \
    auto ok_ = (__VA_ARGS__);                \
    ASSERT_TRUE(ok_) << ok_.error().message; \
  } while (0)

TEST_F(PodNetworkTest, PodsReachEachOtherAndTheNode) {
  PodNetwork net(config());
  ASSERT_OK(net.start());
  auto a = net.attach({.uid = "a", .ns = "default", .name = "a"}), b = net.attach({.uid = "b"});
  ASSERT_OK(a);
  ASSERT_OK(b);
  EXPECT_EQ(a->ips, std::vector<std::string>{"10.42.0.2"});
  EXPECT_EQ(a->gateway, "10.42.0.1");
  EXPECT_EQ(a->mac, "0a:58:0a:2a:00:02");
  EXPECT_EQ(net.attach({.uid = "a"})->ips, a->ips) << "asked twice, the answer is the same";
  std::string ping = "busybox ping -A -c3 -W1 -q ";
  EXPECT_FALSE(sh(ping + b->ips[0] + " >/dev/null", a->netns_path).contains("exit"));
  EXPECT_FALSE(sh(ping + "10.42.0.1 >/dev/null", a->netns_path).contains("exit"));
  EXPECT_FALSE(sh(ping + "127.0.0.1 >/dev/null", a->netns_path).contains("exit"));
  EXPECT_FALSE(sh(ping + a->ips[0] + " >/dev/null").contains("exit"));
  EXPECT_EQ(sh("cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/net/ipv4/ping_group_range", a->netns_path),
            "0\n0\t2147483647\n");
  EXPECT_TRUE(sh("ip -4 route", a->netns_path).contains("default via 10.42.0.1 dev eth0"));
  ASSERT_OK(net.remove_all());
}

TEST_F(PodNetworkTest, ANetworkOfAUserNamespaceBelongsToItAndGoesWithIt) {
  const PodRequest mapped{.uid = "m", .uids = {{0, 100000, 65536}}, .gids = {{0, 200000, 65536}}};
  {
    PodNetwork net(config());
    ASSERT_OK(net.start());
    ASSERT_OK(net.refill());
    auto plain = net.attach({.uid = "a"}), pod = net.attach(mapped);
    ASSERT_OK(plain);
    ASSERT_OK(pod);
    EXPECT_EQ(plain->userns_path, "");
    ASSERT_EQ(pod->userns_path, dir_ + "/userns/" + pod->ips[0]);
    // Its root may set up interfaces there; the host's ids are not those of inside.
    const std::string inside = "nsenter --user=" + pod->userns_path + " -S 0 -G 0 ";
    EXPECT_EQ(sh(inside + "cat /proc/self/uid_map /proc/self/gid_map"),
              "         0     100000      65536\n         0     200000      65536\n");
    EXPECT_EQ(sh(inside + "--net=" + pod->netns_path + " ip address add 10.9.9.9/32 dev lo"), "");
    EXPECT_TRUE(sh(inside + "--net=" + plain->netns_path + " ip address add 10.9.9.9/32 dev lo 2>&1").contains("exit"));
    EXPECT_FALSE(sh("busybox ping -A -c3 -W1 -q " + plain->ips[0] + " >/dev/null", pod->netns_path).contains("exit"));
  }
  PodNetwork net(config());
  sh("touch " + dir_ + "/userns/10.42.0.77");
  ASSERT_OK(net.start());
  ASSERT_TRUE(net.find("m"));
  EXPECT_EQ(net.find("m")->userns_path, dir_ + "/userns/" + net.find("m")->ips[0]);
  EXPECT_EQ(sh("ls " + dir_ + "/userns"), net.find("m")->ips[0] + "\n");
  ASSERT_OK(net.detach("m"));
  ASSERT_OK(net.sweep());
  EXPECT_EQ(sh("ls " + dir_ + "/userns"), "");
  PodRequest wrong = mapped;
  wrong.uids = {{0, 100000, 10}, {5, 300000, 10}};
  EXPECT_FALSE(net.attach(wrong));
  EXPECT_EQ(sh("ls " + dir_ + "/userns"), "");
  ASSERT_OK(net.remove_all());
}

TEST_F(PodNetworkTest, PodsHaveAnAddressOfEachFamily) {
  for (const auto& [pods, services] : {std::pair("10.42.0.0/24,fd00:42::/64", "10.43.0.0/16,fd00:43::/112"),
                                       {"fd00:42::/64,10.42.0.0/24", "fd00:43::/112,10.43.0.0/16"},
                                       {"fd00:42::/64", "fd00:43::/112"}}) {
    auto both = config();
    both.sides = *sides_of(pods, "", services);
    PodNetwork net(both);
    ASSERT_OK(net.start());
    auto a = net.attach({.uid = "a"}), b = net.attach({.uid = "b"});
    ASSERT_OK(a);
    ASSERT_OK(b);
    EXPECT_EQ(a->ips.size(), both.sides.size());
    EXPECT_EQ(a->ips[0], both.sides[0].v6() ? "fd00:42::2" : "10.42.0.2");
    const std::string ping = "busybox ping -A -c3 -W1 -q ";
    for (const std::string& ip : b->ips) {
      EXPECT_FALSE(sh(ping + ip + " >/dev/null", a->netns_path).contains("exit")) << ip;
      EXPECT_FALSE(sh(ping + ip + " >/dev/null").contains("exit")) << ip;
    }
    for (const Side& side : both.sides) {
      EXPECT_FALSE(sh(ping + side.gateway.text() + " >/dev/null", a->netns_path).contains("exit")) << side.gateway.text();
      EXPECT_FALSE(sh(ping + side.dns->text() + " >/dev/null", a->netns_path).contains("exit")) << side.dns->text();
    }
    EXPECT_EQ(sh("ip -6 address show scope link dev estiba0; ip -6 address show scope link dev eth0", a->netns_path).find("fe80"),
              std::string::npos);
    EXPECT_EQ(sh("ip -6 address show dev estiba0").find("fe80"), std::string::npos) << "no router's redirects";
    EXPECT_EQ(sh("ip -6 address show dev eth0", a->netns_path).find("tentative"), std::string::npos);
    EXPECT_EQ(sh("cat /proc/sys/net/ipv6/conf/eth0/accept_ra /proc/sys/net/ipv6/conf/eth0/accept_redirects", a->netns_path), "0\n0\n");

    // The bridge is taken away: what is left of the pods is joined to another.
    sh("ip link delete estiba0");
    EXPECT_TRUE(net.mend()->bridge);
    EXPECT_FALSE(net.mend()->bridge);
    for (const std::string& ip : b->ips) EXPECT_FALSE(sh(ping + ip + " >/dev/null", a->netns_path).contains("exit")) << ip;
    ASSERT_OK(net.detach("a"));
    EXPECT_TRUE(*net.sweep());
    EXPECT_EQ(sh("ip -6 neigh show dev estiba0").find("fd00:42::2 "), std::string::npos);
    ASSERT_OK(net.remove_all());
  }
}

TEST_F(PodNetworkTest, APairThatSomebodyTakesAwayIsMadeAgain) {
  auto both = config();
  both.sides = *sides_of("10.42.0.0/24,fd00:42::/64", "", "10.43.0.0/16,fd00:43::/112");
  const std::string ping = "busybox ping -A -c3 -W1 -q ";
  {
    PodNetwork net(both);
    ASSERT_OK(net.start());
    ASSERT_OK(net.refill());
    ASSERT_OK(net.refill());
    auto a = net.attach({.uid = "a", .ns = "x", .name = "a"}), b = net.attach({.uid = "b", .ns = "x", .name = "b"});
    ASSERT_OK(a);
    ASSERT_OK(b);
    EXPECT_TRUE(net.mend()->pods.empty());
    for (const char* harm : {"ip link delete ev0a2a0002", "ip link set ev0a2a0002 down", "ip link set ev0a2a0002 nomaster",
                             "ip link add name other type dummy; ip link set ev0a2a0002 name evother"}) {
      sh(harm);
      auto mended = net.mend();
      ASSERT_OK(mended);
      EXPECT_FALSE(mended->bridge);
      EXPECT_EQ(mended->pods, std::vector<std::string>{"x/a"}) << harm;
      EXPECT_TRUE(net.mend()->pods.empty()) << harm;
      for (const std::string& ip : a->ips) {
        EXPECT_FALSE(sh(ping + ip + " >/dev/null", b->netns_path).contains("exit")) << harm << " " << ip;
        EXPECT_FALSE(sh(ping + ip + " >/dev/null").contains("exit")) << harm << " " << ip;
      }
    }
    sh("ip link delete other; ip link delete ev0a2a0003");
  }
  PodNetwork net(both);
  ASSERT_OK(net.start());
  ASSERT_TRUE(net.find("b")) << "a restart mends it too";
  EXPECT_FALSE(sh(ping + net.find("b")->ips[0] + " >/dev/null", net.find("a")->netns_path).contains("exit"));
  // Without its namespace nothing can be mended; the others are.
  sh("umount " + dir_ + "/netns/10.42.0.2; ip link delete ev0a2a0002; ip link delete ev0a2a0003");
  EXPECT_FALSE(net.mend());
  EXPECT_TRUE(sh("ip -o link show ev0a2a0003").contains("UP"));
  ASSERT_OK(net.remove_all());
}

TEST_F(PodNetworkTest, RatesAreThoseOfThePodAndStayWithIt) {
  const auto rates = [&](const PodNet& pod) {
    return sh("tc qdisc show dev eth0 | grep -o \"rate [^ ]*\"", pod.netns_path) +
           sh("tc qdisc show dev ev0a2a0004 | grep -o \"rate [^ ]*\"");
  };
  {
    PodNetwork net(config());
    ASSERT_OK(net.start());
    ASSERT_OK(net.refill());
    ASSERT_OK(net.refill());
    auto limited = net.attach({.uid = "a", .bandwidth = {.ingress = 10'000'000, .egress = 40'000'000'000}});
    ASSERT_OK(limited);
    EXPECT_EQ(limited->ips[0], "10.42.0.4") << "none of those that were made ahead";
    EXPECT_EQ(rates(*limited), "rate 40Gbit\nrate 10Mbit\n");
    sh("ip link delete ev0a2a0004");
    ASSERT_OK(net.mend());
    EXPECT_EQ(rates(*limited), "rate 40Gbit\nrate 10Mbit\n");
    sh("ip link delete ev0a2a0004");
  }
  PodNetwork net(config());
  ASSERT_OK(net.start());
  ASSERT_TRUE(net.find("a"));
  EXPECT_EQ(rates(*net.find("a")), "rate 40Gbit\nrate 10Mbit\n") << "the record knows them";
  auto plain = net.attach({.uid = "b"});
  ASSERT_OK(plain);
  EXPECT_FALSE(sh("tc qdisc show dev eth0", plain->netns_path).contains("tbf"));
  ASSERT_OK(net.remove_all());
}

TEST_F(PodNetworkTest, AMachineThatLivesByAdvertisementsGoesOnToTakeThem) {
  sh("ip link add keep0 type veth peer name keep1; sysctl -qw net.ipv6.conf.all.forwarding=0 net.ipv6.conf.keep0.accept_ra=1 "
     "net.ipv6.conf.keep1.accept_ra=0");
  auto both = config();
  both.sides = *sides_of("10.42.0.0/24,fd00:42::/64", "", "10.43.0.0/16");
  PodNetwork net(both);
  ASSERT_OK(net.start());
  EXPECT_EQ(
      sh("cat /proc/sys/net/ipv6/conf/all/forwarding /proc/sys/net/ipv6/conf/keep0/accept_ra /proc/sys/net/ipv6/conf/keep1/accept_ra"),
      "1\n2\n0\n");
  ASSERT_OK(net.remove_all());
  sh("ip link delete keep0");
}

TEST(Sides, FitTogether) {
  auto sides = sides_of("10.42.1.0/24,fd00:42:0:1::/64", "10.42.0.0/16,fd00:42::/56", "fd00:43::/112");
  ASSERT_TRUE(sides) << sides.error().message;
  ASSERT_EQ(sides->size(), 2u);
  EXPECT_FALSE((*sides)[0].services) << "pods of both families, services of one";
  EXPECT_EQ((*sides)[1].dns->text(), "fd00:43::a");
  EXPECT_EQ((*sides)[1].gateway.text(), "fd00:42:0:1::1");
  EXPECT_EQ((*sides)[1].cluster.text(), "fd00:42::/56");
  EXPECT_FALSE(sides_of("10.42.0.0/24", "", "fd00:43::/112")) << "services that no pod can reach";
  EXPECT_FALSE(sides_of("fd00:42::/64", "", "fd00::/16"));
}

// Those of neighbours on one bridge, and those of the nodes of a cluster.
TEST(Macs, DifferWhereAddressesDo) {
  std::set<std::string> nodes, pods;
  for (int i = 0; i < 1024; ++i) {
    const Prefix cluster = *Prefix::parse("fd00:42::/54");
    nodes.insert(mac_of(Address::from_value(cluster.address.value() + (AddressNumber(unsigned(i)) << 64), true)));
    pods.insert(mac_of(*Prefix::parse("fd00:42:0:7::/64")->nth(unsigned(i))));
  }
  EXPECT_EQ(nodes.size(), 1024u);
  EXPECT_EQ(pods.size(), 1024u);
  EXPECT_EQ(mac_text(mac_of(*Address::parse("10.42.0.5"))), "0a:58:0a:2a:00:05");
  EXPECT_EQ(veth_name(*Address::parse("fd00:42::1f")), "ev60000001f");
}

TEST_F(PodNetworkTest, AddressesAreNotUsedAgainAtOnce) {
  PodNetwork net(config());
  ASSERT_OK(net.start());
  auto first = net.attach({.uid = "a"});
  ASSERT_OK(first);
  ASSERT_OK(net.detach("a"));
  ASSERT_OK(net.detach("a"));
  EXPECT_TRUE(*net.sweep());
  EXPECT_FALSE(*net.sweep());
  EXPECT_EQ(leftovers().find("ev0a2a0002"), std::string::npos);
  auto second = net.attach({.uid = "b"});
  ASSERT_OK(second);
  EXPECT_EQ(second->ips[0], "10.42.0.3");
  ASSERT_OK(net.remove_all());
}

TEST_F(PodNetworkTest, ARestartFindsPodsAndPoolAndClearsTheRest) {
  {
    PodNetwork net(config());
    ASSERT_OK(net.start());
    ASSERT_OK(net.attach({.uid = "a", .ns = "ns", .name = "web", .host_ports = {{Protocol::udp, 8053, 53}}}));
    ASSERT_OK(net.attach({.uid = "broken"}));
    ASSERT_OK(net.refill());
    ASSERT_OK(net.refill());
    EXPECT_FALSE(*net.refill()) << "the pool is full";
  }
  sh("umount " + dir_ + "/netns/10.42.0.3");
  sh("ip link add ev0a2a0099 type veth peer name p0; ip link set ev0a2a0099 master estiba0");
  sh("echo state partial > " + dir_ + "/network/addresses/10.42.0.77; touch " + dir_ + "/netns/10.42.0.77 " + dir_ + "/netns/10.42.0.78");
  PodNetwork net(config());
  ASSERT_OK(net.start());
  ASSERT_TRUE(net.find("a"));
  EXPECT_EQ(net.find("a")->ips[0], "10.42.0.2");
  ASSERT_EQ(net.pods().size(), 1u);
  EXPECT_EQ(net.pods()[0].host_ports, (std::vector<HostPort>{{Protocol::udp, 8053, 53}}));
  EXPECT_EQ(net.pods()[0].name, "web");
  EXPECT_EQ(net.pooled(), 2u);
  EXPECT_EQ(sh("ls " + dir_ + "/netns"), "10.42.0.2\n10.42.0.4\n10.42.0.5\n");
  EXPECT_FALSE(sh("ip -o link").contains("ev0a2a0099"));
  ASSERT_OK(net.detach("a"));
  EXPECT_FALSE(net.find("a"));
  ASSERT_OK(net.drop_pool());
  ASSERT_OK(net.remove_all());
}

TEST_F(PodNetworkTest, AFullNetworkSaysSo) {
  auto tiny = config();
  tiny.sides[0].pods = *Prefix::parse("10.42.0.0/30");
  PodNetwork net(tiny);
  ASSERT_OK(net.start());
  ASSERT_OK(net.attach({.uid = "a"}));
  auto second = net.attach({.uid = "b"});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::exhausted);
  EXPECT_TRUE(second.error().message.contains("no address is free in 10.42.0.0/30")) << second.error().message;
  ASSERT_OK(net.remove_all());
}

TEST_F(PodNetworkTest, AnotherServersPodsAreLeftAlone) {
  PodNetwork net(config());
  ASSERT_OK(net.start());
  ASSERT_OK(net.attach({.uid = "a"}));
  auto other = config();
  other.run_dir = dir_ + "/other";
  PodNetwork second(other);
  auto started = second.start();
  ASSERT_FALSE(started);
  EXPECT_TRUE(started.error().message.starts_with("the bridge estiba0 belongs to another server (estiba " + dir_ + ")"))
      << started.error().message;
  EXPECT_TRUE(sh("ip -o link").contains("ev0a2a0002"));
  sh("rm -r " + dir_ + "/other");
  ASSERT_OK(net.remove_all());
}

TEST_F(PodNetworkTest, TheMtuIsThatOfTheDefaultRoute) {
  sh("ip link add keep0 mtu 1400 type veth peer name keep1; ip addr add 192.0.2.1/24 dev keep0; ip link set keep0 up; ip link set keep1 up;"
     "ip route add default via 192.0.2.2");
  PodNetwork net(config());
  ASSERT_OK(net.start());
  auto pod = net.attach({.uid = "a"});
  ASSERT_OK(pod);
  EXPECT_EQ(pod->mtu, 1400);
  EXPECT_TRUE(sh("ip link show eth0", pod->netns_path).contains("mtu 1400"));
  ASSERT_OK(net.remove_all());
}

}  // namespace estiba::network
