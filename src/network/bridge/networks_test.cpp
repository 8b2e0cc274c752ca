#include "network/bridge/networks.h"

#include "base/strings.h"
#include "io/loop.h"
#include "network/testing.h"
#include "os/file.h"
#include "os/rtnl.h"

namespace estiba::network::bridge {

using std::chrono::milliseconds;

// An engine's networks, on a host that has a cable to an outside machine: 192.0.2.1 here, 192.0.2.2 there (namespace dir/outside).
class NetworksTest : public NetTest {
 protected:
  void SetUp() override {
    NetTest::SetUp();
    if (IsSkipped()) return;
    outside_ = dir_ + "/outside";
    sh("touch " + outside_ + "; unshare --net=" + outside_ + " true; ip link add keep0 type veth peer name up0; ip link set up0 netns " +
       outside_ + "; ip addr add 192.0.2.1/24 dev keep0; ip link set keep0 up; ip route add default via 192.0.2.2");
    sh("ip link set lo up; ip addr add 192.0.2.2/24 dev up0; ip link set up0 up", outside_);
    sh("mkdir " + dir_ + "/data " + dir_ + "/run; echo nameserver 192.0.2.53 > " + dir_ + "/resolv.conf");
    open();
  }
  void TearDown() override {
    if (networks_) {
      for (const NetworkInfo& network : networks_->list())
        for (const AttachedContainer& container : network.containers) EXPECT_TRUE(run(networks_->release(container.container_id)));
      auto stopped = run(networks_->stop());
      EXPECT_TRUE(stopped) << stopped.error().message;
      networks_.reset();
    }
    end_children();
    if (!outside_.empty())
      sh("umount " + outside_ + "; rm -rf " + outside_ + " " + dir_ + "/hold.py " + dir_ + "/data " + dir_ + "/run " + dir_ +
         "/resolv.conf; ip link del keep0");
    NetTest::TearDown();
  }
  void open() {
    networks_ = std::make_unique<Networks>(
        Options{.data_dir = dir_ + "/data", .run_dir = dir_ + "/run", .resolv_conf = dir_ + "/resolv.conf", .pool = 2}, loop_);
    auto started = run(networks_->start());
    ASSERT_TRUE(started) << started.error().message;
  }
  template <class T>
  T run(Task<T> task) {
    return loop_.block_on(std::move(task));
  }
  SandboxInfo attach(const std::string& name, std::vector<EndpointSpec> endpoints, std::vector<PortBinding> ports = {}) {
    auto box = run(networks_->attach({.container_id = name + "-0123456789abcdef",
                                      .container_name = name,
                                      .endpoints = std::move(endpoints),
                                      .ports = std::move(ports)}));
    EXPECT_TRUE(box) << box.error().message;
    return box ? *box : SandboxInfo{};
  }
  NetworkInfo make(NetworkSpec spec) {
    auto made = run(networks_->create(std::move(spec)));
    EXPECT_TRUE(made) << made.error().message;
    return made ? *made : NetworkInfo{};
  }
  bool pings(const SandboxInfo& from, const std::string& to) {
    return !sh("busybox ping -c1 -W2 -q " + to + " >/dev/null", from.netns_path).contains("exit");
  }
  /// A server that answers every connection to `port` with `text`.
  void serve(const std::string& netns, int port, const std::string& text) {
    start("exec busybox nc -ll -p " + std::to_string(port) + " -e echo " + text, netns);
    EXPECT_TRUE(eventually([&] { return sh("ss -Hltn sport = :" + std::to_string(port), netns).contains("LISTEN"); }));
  }
  void serve(const SandboxInfo& box, int port, const std::string& text) { serve(box.netns_path, port, text); }
  /// What a server says, or "" if it cannot be reached.
  std::string fetch(const std::string& host, int port, const std::string& netns = {}) {
    return sh("timeout 12 busybox nc -w 4 " + host + " " + std::to_string(port) + " </dev/null 2>/dev/null || true", netns);
  }
  /// A program that keeps a socket: "udp" or "tcp", bound to `address` and `port`; UDP sends back what comes.
  void hold(const std::string& kind, const std::string& address, int port, const std::string& netns = {}) {
    std::string program = dir_ + "/hold.py";
    EXPECT_TRUE(os::write_file(program,
                               "import socket, sys\n"
                               "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if sys.argv[1] == 'udp' else socket.SOCK_STREAM)\n"
                               "s.bind((sys.argv[2], int(sys.argv[3])))\n"
                               "if sys.argv[1] == 'tcp': s.listen(); s.accept()\n"
                               "while True:\n  data, who = s.recvfrom(4096)\n  s.sendto(data, who)\n",
                               O_CREAT));
    start("exec /usr/bin/python3 " + program + " " + kind + " " + address + " " + std::to_string(port), netns);
    EXPECT_TRUE(
        eventually([&] { return sh("ss -Hl" + kind.substr(0, 1) + "n sport = :" + std::to_string(port), netns).contains(address + ":"); }));
  }
  std::string ask_udp(const std::string& text, const std::string& host, int port, const std::string& netns = {}) {
    return sh("/usr/bin/python3 -c \"import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(5); s.sendto(b\\\"" +
                  text + "\\\", (\\\"" + host + "\\\", " + std::to_string(port) + ")); print(s.recv(99).decode())\"",
              netns);
  }
  std::string dig(const SandboxInfo& box, const std::string& question) {
    return sh("dig +tries=3 +time=3 +short @127.0.0.11 " + question, box.netns_path);
  }
  bool eventually(const std::function<bool()>& holds) {
    for (int i = 0; i < 500; ++i) {
      if (holds()) return true;
      run(pause());
    }
    return false;
  }
  static Task<bool> pause() {
    co_await sleep_for(milliseconds(20));
    co_return true;
  }

  io::Loop loop_;
  std::string outside_;
  std::unique_ptr<Networks> networks_;
};

TEST_F(NetworksTest, ContainersReachEachOtherAndTheWorld) {
  SandboxInfo a = attach("a", {{.network = "bridge"}}), b = attach("b", {{.network = "bridge"}});
  ASSERT_EQ(a.endpoints.size(), 1u);
  EXPECT_EQ(a.endpoints[0].ipv4, "172.17.0.2");
  EXPECT_EQ(a.endpoints[0].mac, "02:42:ac:11:00:02");
  EXPECT_EQ(a.endpoints[0].gateway, "172.17.0.1");
  EXPECT_EQ(b.endpoints[0].ipv4, "172.17.0.3");
  EXPECT_TRUE(a.netns_path.ends_with("/" + a.id.substr(0, 12)));
  EXPECT_TRUE(pings(a, b.endpoints[0].ipv4));
  EXPECT_TRUE(pings(a, "172.17.0.1"));
  EXPECT_TRUE(pings(a, "192.0.2.2")) << "masqueraded, since the outside knows no way to containers";
  EXPECT_TRUE(a.endpoints[0].dns_names.empty()) << "the default bridge has no names";
  EXPECT_EQ(networks_->resolv_conf("a-0123456789abcdef"), "nameserver 192.0.2.53\n");
  EXPECT_EQ(networks_->find("bridge")->containers.size(), 2u);
}

TEST_F(NetworksTest, NoneHasLoopbackAlone) {
  SandboxInfo box = attach("a", {{.network = "none"}});
  EXPECT_EQ(split(trim(sh("ip -o link", box.netns_path)), '\n').size(), 1u);
  EXPECT_TRUE(pings(box, "127.0.0.1"));
  EXPECT_EQ(networks_->find("none")->containers.size(), 1u);
  EXPECT_FALSE(run(networks_->connect("a-0123456789abcdef", {.network = "bridge"})));
}

TEST_F(NetworksTest, NamesAreFoundInUserDefinedNetworks) {
  make({.name = "red"});
  SandboxInfo web = attach("web", {{.network = "red", .aliases = {"site"}}}),
              db = attach("db", {{.network = "red", .aliases = {"site"}, .links = {{"web", "front"}}}});
  SandboxInfo other = attach("other", {{.network = "bridge"}});
  EXPECT_EQ(web.endpoints[0].dns_names, (std::vector<std::string>{"web", "site", "web-01234567"}));
  EXPECT_EQ(networks_->resolv_conf("web-0123456789abcdef"), "nameserver 127.0.0.11\noptions ndots:0\n");
  EXPECT_EQ(dig(db, "web"), web.endpoints[0].ipv4 + "\n");
  EXPECT_EQ(dig(db, "+tcp WEB.red"), web.endpoints[0].ipv4 + "\n");
  EXPECT_EQ(dig(db, "web-01234567"), web.endpoints[0].ipv4 + "\n");
  EXPECT_EQ(dig(db, "front"), web.endpoints[0].ipv4 + "\n");
  EXPECT_EQ(split(trim(dig(db, "site")), '\n').size(), 2u);
  EXPECT_EQ(dig(db, "-x " + web.endpoints[0].ipv4), "web.red.\n");
  EXPECT_FALSE(dig(other, "+tries=1 +time=1 web").contains("172.")) << "another network's";
  // A container may have a DNS server of its own.
  hold("udp", "0.0.0.0", 53, db.netns_path);
  EXPECT_EQ(dig(db, "web"), web.endpoints[0].ipv4 + "\n");
  ASSERT_TRUE(run(networks_->rename("web-0123456789abcdef", "www")));
  EXPECT_EQ(dig(db, "www"), web.endpoints[0].ipv4 + "\n");
  ASSERT_TRUE(run(networks_->release("web-0123456789abcdef")));
  EXPECT_FALSE(dig(db, "+tries=1 +time=1 www").contains("172."));
}

TEST_F(NetworksTest, LinksAreNamesOfTheDefaultBridge) {
  SandboxInfo web = attach("web", {{.network = "bridge"}}), db = attach("db", {{.network = "bridge", .links = {{"web", "front"}}}});
  EXPECT_EQ(networks_->resolv_conf("db-0123456789abcdef"), "nameserver 127.0.0.11\noptions ndots:0\n");
  EXPECT_EQ(dig(db, "front"), web.endpoints[0].ipv4 + "\n");
  EXPECT_EQ(dig(db, "web"), web.endpoints[0].ipv4 + "\n");
  EXPECT_FALSE(dig(db, "+tries=1 +time=1 db").contains("172."));
}

TEST_F(NetworksTest, PublishedPortsAnswerWhereTheUserSaid) {
  SandboxInfo web = attach("web", {{.network = "bridge"}},
                           {{80, Protocol::tcp, "", 8080}, {81, Protocol::tcp, "127.0.0.1", 8081}, {80, Protocol::tcp, "", 0}});
  SandboxInfo client = attach("client", {{.network = "bridge"}});
  make({.name = "red"});
  SandboxInfo stranger = attach("stranger", {{.network = "red"}});
  serve(web, 80, "eighty");
  serve(web, 81, "eightyone");
  ASSERT_EQ(web.ports.size(), 3u);
  EXPECT_EQ(web.ports[0], (BoundPort{80, Protocol::tcp, "0.0.0.0", 8080}));
  EXPECT_GE(web.ports[2].host_port, 1024);
  EXPECT_EQ(fetch("127.0.0.1", 8080), "eighty\n");
  EXPECT_EQ(fetch("192.0.2.1", 8080), "eighty\n") << "from the host, by its other address";
  EXPECT_EQ(fetch("127.0.0.1", web.ports[2].host_port), "eighty\n");
  EXPECT_EQ(fetch("192.0.2.1", 8080, outside_), "eighty\n");
  EXPECT_EQ(fetch("192.0.2.1", 8080, client.netns_path), "eighty\n") << "a neighbour by the host's address";
  EXPECT_EQ(fetch("192.0.2.1", 8080, web.netns_path), "eighty\n") << "itself by the host's address";
  EXPECT_EQ(fetch("192.0.2.1", 8080, stranger.netns_path), "eighty\n") << "from another network";
  EXPECT_EQ(fetch("127.0.0.1", 8081), "eightyone\n");
  EXPECT_EQ(fetch("192.0.2.1", 8081, outside_), "") << "published on loopback alone";
  // Nobody comes in by the container's own address, even with a route to it.
  sh("ip route add 172.17.0.0/16 via 192.0.2.1", outside_);
  EXPECT_EQ(fetch("172.17.0.2", 80, outside_), "");
  EXPECT_EQ(fetch("172.17.0.2", 80, stranger.netns_path), "") << "networks are apart";
  EXPECT_EQ(fetch("172.17.0.2", 80, client.netns_path), "eighty\n");
  // The host's loopback is not for containers, though route_localnet is on.
  serve(std::string(), 7777, "secret");
  EXPECT_EQ(fetch("127.0.0.1", 7777), "secret\n");
  sh("ip route del local 127.0.0.0/8 table local; ip addr del 127.0.0.1/8 dev lo; ip route add 127.0.0.0/8 via 172.17.0.1; sysctl -qw "
     "net.ipv4.conf.all.route_localnet=1",
     client.netns_path);
  EXPECT_FALSE(fetch("127.0.0.1", 7777, client.netns_path).contains("secret"));
}

TEST_F(NetworksTest, UdpPortsAndRanges) {
  SandboxInfo box = attach("a", {{.network = "bridge"}}, {{53, Protocol::udp, "", 5353, 5360}}),
              second = attach("b", {{.network = "bridge"}}, {{53, Protocol::udp, "", 5353, 5360}});
  EXPECT_EQ(box.ports[0].host_port, 5353);
  EXPECT_EQ(second.ports[0].host_port, 5354) << "the next of the range";
  hold("udp", "0.0.0.0", 53, box.netns_path);
  EXPECT_EQ(ask_udp("one", "127.0.0.1", 5353), "one\n");
  EXPECT_EQ(ask_udp("two", "192.0.2.1", 5353, outside_), "two\n");
}

TEST_F(NetworksTest, APortThatIsTakenIsNamedAndNothingIsLeft) {
  attach("web", {{.network = "bridge"}}, {{80, Protocol::tcp, "", 8080}});
  SandboxSpec spec{.container_id = "x-0123456789abcdef",
                   .container_name = "x",
                   .endpoints = {{.network = "bridge"}},
                   .ports = {{80, Protocol::tcp, "", 8079}, {80, Protocol::tcp, "127.0.0.1", 8080}}};
  auto taken = run(networks_->attach(spec));
  ASSERT_FALSE(taken);
  EXPECT_TRUE(taken.error().message.starts_with("driver failed programming external connectivity on endpoint x ("))
      << taken.error().message;
  EXPECT_TRUE(taken.error().message.ends_with("): Bind for 127.0.0.1:8080 failed: port is already allocated")) << taken.error().message;
  EXPECT_EQ(networks_->find("bridge")->containers.size(), 1u);
  hold("tcp", "127.0.0.1", 9090);
  spec.ports = {{80, Protocol::tcp, "", 9090}};
  taken = run(networks_->attach(spec));
  ASSERT_FALSE(taken);
  EXPECT_TRUE(taken.error().message.contains("Bind for 0.0.0.0:9090 failed: port is already allocated (address already in use"))
      << taken.error().message;
  spec.ports = {{80, Protocol::tcp, "198.51.100.1", 9091}};
  EXPECT_TRUE(run(networks_->attach(spec)).error().message.contains("cannot assign requested address"));
  spec.ports = {{80, Protocol::tcp, "", 8079}};
  EXPECT_TRUE(run(networks_->attach(spec))) << "what failed before holds nothing";
  EXPECT_TRUE(sh("/usr/bin/python3 -c \"import socket; socket.create_server((\\\"\\\", 8079))\"").contains("Address already in use"))
      << "the host's programs do not get it";
  ASSERT_TRUE(run(networks_->release("web-0123456789abcdef")));
  attach("again", {{.network = "bridge"}}, {{80, Protocol::tcp, "", 8080}});
}

TEST_F(NetworksTest, SeveralNetworksComeAndGo) {
  make({.name = "red"});
  make({.name = "blue", .internal = true});
  SandboxInfo web = attach("web", {{.network = "red"}}, {{80, Protocol::tcp, "", 8080}}), db = attach("db", {{.network = "blue"}});
  serve(web, 80, "hello");
  EXPECT_FALSE(pings(db, "192.0.2.2")) << "internal";
  EXPECT_TRUE(db.endpoints[0].gateway.empty());
  EXPECT_EQ(dig(db, "+tries=1 web"), "");
  auto joined = run(networks_->connect("web-0123456789abcdef", {.network = "blue", .aliases = {"shop"}}));
  ASSERT_TRUE(joined) << joined.error().message;
  EXPECT_EQ(joined->interface_name, "eth1");
  EXPECT_EQ(dig(db, "shop"), joined->ipv4 + "\n");
  EXPECT_EQ(fetch(joined->ipv4, 80, db.netns_path), "hello\n");
  EXPECT_TRUE(pings(web, "192.0.2.2")) << "still by red";
  EXPECT_EQ(run(networks_->connect("web-0123456789abcdef", {.network = "blue"})).error().code, Code::forbidden);
  // A better way out takes the ports along.
  ASSERT_TRUE(run(networks_->connect("web-0123456789abcdef", {.network = "bridge", .gw_priority = 5})));
  EXPECT_TRUE(sh("ip route show default", web.netns_path).contains("default via 172.17.0.1 dev eth2")) << sh("ip route", web.netns_path);
  EXPECT_EQ(fetch("127.0.0.1", 8080), "hello\n");
  ASSERT_TRUE(run(networks_->disconnect("web-0123456789abcdef", "bridge")));
  ASSERT_TRUE(run(networks_->disconnect("web-0123456789abcdef", "blue")));
  EXPECT_EQ(fetch("127.0.0.1", 8080), "hello\n");
  EXPECT_EQ(dig(db, "shop"), "");
  EXPECT_FALSE(sh("ip -o link", web.netns_path).contains("eth1"));
  EXPECT_EQ(run(networks_->disconnect("web-0123456789abcdef", "blue")).error().message,
            "container web-0123456789abcdef is not connected to network blue");
  std::string used = run(networks_->remove("red")).error().message;
  EXPECT_TRUE(used.starts_with("error while removing network: network red id ")) << used;
  EXPECT_TRUE(used.contains(" has active endpoints (name:\"web\" id:\"")) << used;
}

TEST_F(NetworksTest, FixedAddresses) {
  make({.name = "red", .subnets = {{.subnet = "10.9.0.0/16"}}});
  make({.name = "auto"});
  SandboxInfo box = attach("a", {{.network = "red", .ipv4 = "10.9.3.7", .mac = "02:42:00:00:00:99"}});
  EXPECT_EQ(box.endpoints[0].ipv4, "10.9.3.7");
  EXPECT_TRUE(sh("ip link show eth0", box.netns_path).contains("02:42:00:00:00:99"));
  EXPECT_TRUE(pings(box, "10.9.0.1"));
  auto refused = [&](EndpointSpec endpoint) {
    return run(networks_->attach({.container_id = "b-0123456789abcdef", .container_name = "b", .endpoints = {std::move(endpoint)}}))
        .error()
        .message;
  };
  EXPECT_EQ(refused({.network = "red", .ipv4 = "10.9.3.7"}),
            "invalid config for network red: invalid endpoint settings: Address already in use: 10.9.3.7");
  EXPECT_EQ(refused({.network = "red", .ipv4 = "10.8.3.7"}),
            "invalid config for network red: invalid endpoint settings: no configured subnet contains IP address 10.8.3.7");
  EXPECT_EQ(refused({.network = "bridge", .ipv4 = "172.17.0.9"}), "user specified IP address is supported on user defined networks only");
  EXPECT_TRUE(
      refused({.network = "auto", .ipv4 = "172.18.0.9"}).ends_with("only when connecting to networks with user configured subnets"));
  EXPECT_TRUE(refused({.network = "red", .mac = "zz"}).contains("invalid MAC address: zz"));
  EXPECT_EQ(refused({.network = "nowhere"}), "network nowhere not found");
  ASSERT_TRUE(run(networks_->release("a-0123456789abcdef")));
  attach("a", {{.network = "red", .ipv4 = "10.9.3.7"}});
}

TEST_F(NetworksTest, IcCanBeOff) {
  make({.name = "shy", .options = {{"com.docker.network.bridge.enable_icc", "false"}}});
  SandboxInfo a = attach("a", {{.network = "shy"}}), b = attach("b", {{.network = "shy"}});
  EXPECT_FALSE(pings(a, b.endpoints[0].ipv4));
  EXPECT_TRUE(pings(a, "192.0.2.2"));
}

TEST_F(NetworksTest, Ipv6) {
  make({.name = "six", .enable_ipv6 = true, .subnets = {{.subnet = "fd00:9::/64"}}});
  sh("ip addr add 2001:db8::1/64 dev keep0 nodad");
  sh("ip addr add 2001:db8::2/64 dev up0 nodad", outside_);
  SandboxInfo a = attach("a", {{.network = "six"}}, {{80, Protocol::tcp, "", 8080}}),
              b = attach("b", {{.network = "six", .ipv6 = "fd00:9::77"}});
  EXPECT_EQ(a.endpoints[0].ipv6, "fd00:9::2");
  EXPECT_EQ(b.endpoints[0].ipv6, "fd00:9::77");
  EXPECT_TRUE(pings(a, "fd00:9::77"));
  EXPECT_TRUE(pings(a, "fd00:9::1"));
  EXPECT_TRUE(eventually([&] { return pings(a, "2001:db8::2"); }));
  EXPECT_EQ(dig(a, "b AAAA"), "fd00:9::77\n");
  ASSERT_EQ(a.ports.size(), 2u);
  EXPECT_EQ(a.ports[1], (BoundPort{80, Protocol::tcp, "::", 8080}));
  serve(a, 80, "six");
  EXPECT_EQ(fetch("2001:db8::1", 8080, outside_), "six\n");
  EXPECT_EQ(fetch("127.0.0.1", 8080), "six\n");
  // With bridge-nf-call-ip6tables the translation is undone on the bridge, and IPv6 refuses what comes in for ::1.
  if (os::rtnl::get_sysctl("net/bridge/bridge-nf-call-ip6tables")) sh("sysctl -qw net.bridge.bridge-nf-call-ip6tables=0");
  EXPECT_EQ(fetch("::1", 8080), "six\n");
  // With a second network, and by a port at ::1 alone.
  make({.name = "seven", .enable_ipv6 = true, .subnets = {{.subnet = "fd00:10::/64"}}});
  SandboxInfo c = attach("c", {{.network = "seven"}}, {{80, Protocol::tcp, "::1", 8081}});
  serve(c, 80, "seven");
  EXPECT_EQ(fetch("::1", 8081), "seven\n");
  EXPECT_EQ(fetch("::1", 8080), "six\n");
  EXPECT_EQ(fetch("2001:db8::1", 8081, outside_), "") << "published on loopback alone";
  // The host's loopback is not for containers.
  serve(std::string(), 7777, "secret");
  sh("ip -6 route del local ::1 table local; ip addr del ::1/128 dev lo; ip -6 route add ::1/128 via fd00:9::1", a.netns_path);
  EXPECT_FALSE(fetch("::1", 7777, a.netns_path).contains("secret"));
  sh("ip -6 route add fd00:9::/64 via 2001:db8::1", outside_);
  EXPECT_EQ(fetch("fd00:9::2", 80, outside_), "");
}

TEST_F(NetworksTest, ARestartFindsEverything) {
  NetworkInfo red = make({.name = "red", .labels = {{"a", "b"}}});
  SandboxInfo web = attach("web", {{.network = "red"}}, {{80, Protocol::tcp, "", 8080}}), db = attach("db", {{.network = "red"}});
  attach("dead", {{.network = "red"}}, {{80, Protocol::tcp, "", 8081}});
  serve(web, 80, "hello");
  networks_.reset();  // as if killed
  EXPECT_EQ(fetch("127.0.0.1", 8080), "hello\n") << "no process of ours is in the way";
  open();
  ASSERT_TRUE(run(networks_->recover({"web-0123456789abcdef", "db-0123456789abcdef"})));
  EXPECT_EQ(networks_->find("red")->id, red.id);
  EXPECT_EQ(networks_->find(red.id.substr(0, 5))->labels, red.labels);
  EXPECT_EQ(networks_->find("red")->containers.size(), 2u);
  EXPECT_EQ(networks_->sandbox("web-0123456789abcdef")->ports, web.ports);
  EXPECT_EQ(dig(db, "web"), web.endpoints[0].ipv4 + "\n");
  EXPECT_EQ(fetch("127.0.0.1", 8080), "hello\n");
  auto taken = run(networks_->attach({.container_id = "x-0123456789abcdef",
                                      .container_name = "x",
                                      .endpoints = {{.network = "bridge"}},
                                      .ports = {{80, Protocol::tcp, "", 8080}}}));
  EXPECT_FALSE(taken);
  attach("new", {{.network = "red"}}, {{80, Protocol::tcp, "", 8081}});
  EXPECT_TRUE(eventually([&] { return sh("ls " + dir_ + "/run/docker/sandboxes | wc -l") == "3\n"; }));
}

TEST_F(NetworksTest, AFlushedPacketFilterIsMended) {
  SandboxInfo web = attach("web", {{.network = "bridge"}}, {{80, Protocol::tcp, "", 8080}});
  serve(web, 80, "hello");
  sh("nft flush ruleset");
  EXPECT_TRUE(eventually([&] { return fetch("127.0.0.1", 8080) == "hello\n"; }));
  EXPECT_TRUE(pings(web, "192.0.2.2"));
}

TEST_F(NetworksTest, NetworksAreRefusedAndRemoved) {
  EXPECT_EQ(run(networks_->remove("bridge")).error().message, "bridge is a pre-defined network and cannot be removed");
  EXPECT_EQ(run(networks_->remove("nothing")).error().message, "network nothing not found");
  sh("ip link add taken0 type bridge");
  auto taken = run(networks_->create({.name = "red", .options = {{"com.docker.network.bridge.name", "taken0"}}}));
  EXPECT_EQ(taken.error().code, Code::conflict);
  EXPECT_TRUE(sh("ip -o link").contains("taken0"));
  sh("ip link del taken0");
  NetworkInfo red =
      make({.name = "red", .options = {{"com.docker.network.bridge.name", "redbr"}, {"com.docker.network.driver.mtu", "1400"}}});
  SandboxInfo box = attach("a", {{.network = "red"}});
  EXPECT_TRUE(sh("ip link show eth0", box.netns_path).contains("mtu 1400"));
  EXPECT_TRUE(pings(box, red.subnets[0].gateway));
  ASSERT_TRUE(run(networks_->release("a-0123456789abcdef")));
  ASSERT_TRUE(run(networks_->remove(red.id.substr(0, 8))));
  EXPECT_FALSE(sh("ip -o link").contains("redbr"));
  EXPECT_EQ(networks_->list().size(), 3u);
}

}  // namespace estiba::network::bridge
