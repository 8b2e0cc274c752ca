#include "network/proxy/table.h"

#include "base/strings.h"
#include "network/pod_network.h"
#include "network/testing.h"
#include "os/rtnl.h"

namespace estiba::network {

// The node's bridge with pods a and b (10.42.0.2, .3) which answer with their names on port 80, and a client pod. Every test is for both
// families: where the parameter says IPv6, addresses in its text stand for their counterparts.
class ProxyTableTest : public NetTest, public testing::WithParamInterface<bool> {
 protected:
  bool v6() const { return GetParam(); }
  /// 10.42.0.2 → fd00:42::2, 10.43.1.2 → fd00:43::102, other networks below 2001:db8::/32, 127.0.0.1 → ::1; prefixes likewise.
  std::string counterpart(const std::string& text) const {
    auto [address, length] = split_once(text, '/');
    if (!v6()) return text;
    const uint32_t number = Address::parse(address)->number();
    const char* network = number >> 16 == 0x0a2a   ? "fd00:42::"
                          : number >> 16 == 0x0a2b ? "fd00:43::"
                          : number >> 24 == 127    ? "::"
                          : number >> 24 == 198    ? "2001:db8:1::"
                          : number >> 24 == 203    ? "2001:db8:2::"
                                                   : "2001:db8::";
    const uint32_t host = number >> 16 == 0x0a2b ? number & 0xffff : number & 0xff;
    const std::string found = Address::from_value(Address::parse(network)->value() + host, true).text();
    return length ? found + (*length == "32" ? "/128" : *length == "16" ? "/112" : "/64") : found;
  }
  /// A command with addresses, as one of the family.
  std::string translated(const std::string& command) const {
    if (!v6()) return command;
    std::string out;
    for (size_t i = 0; i < command.size();) {
      size_t end = i;
      while (end < command.size() && (isdigit(command[end]) || command[end] == '.' || command[end] == '/')) ++end;
      while (end > i && (command[end - 1] == '.' || command[end - 1] == '/')) --end;
      const std::string word = command.substr(i, end - i);
      if (std::ranges::count(word, '.') == 3 && isdigit(word[0]) && (i == 0 || !isalnum(command[i - 1]))) {
        const bool bare = command[end] != ':' && !out.ends_with("4:");
        out += (bare ? "" : "[") + counterpart(word) + (bare ? "" : "]") + (word.contains('/') && command[end] == ' ' ? " nodad" : "");
        i = end;
      } else {
        out += command[i++];
      }
    }
    for (const auto& [from, to] : {std::pair<std::string, std::string>{"TCP4", "TCP6"}, {"UDP4", "UDP6"}, {"ip route", "ip -6 route"}})
      for (size_t at = 0; (at = out.find(from, at)) != std::string::npos; at += to.size()) out.replace(at, from.size(), to);
    return out;
  }
  std::string sh(const std::string& command, const std::string& netns = {}) const { return NetTest::sh(translated(command), netns); }
  void start(const std::string& command, const std::string& netns = {}) { NetTest::start(translated(command), netns); }
  /// As socat shows an address.
  std::string shown(const std::string& address) const {
    if (!v6()) return address;
    const std::string digits = hex_encode(Address::parse(counterpart(address))->raw());
    std::string out = "[";
    for (size_t i = 0; i < 32; i += 4) out += (i ? ":" : "") + digits.substr(i, 4);
    return out + "]";
  }
  os::nft::Family family() const { return NftFamily::of(v6()).table; }
  Side side() const {
    return {.pods = *Prefix::parse(counterpart("10.42.0.0/24")),
            .cluster = *Prefix::parse(counterpart("10.42.0.0/24")),
            .services = *Prefix::parse(counterpart("10.43.0.0/16")),
            .gateway = ip("10.42.0.1"),
            .dns = ip("10.43.0.10")};
  }
  void SetUp() override {
    NetTest::SetUp();
    if (IsSkipped()) return;
    net_ = std::make_unique<PodNetwork>(PodNetwork::Config{.run_dir = dir_, .bridge = "estiba0", .sides = {side()}, .pool = 0});
    ASSERT_TRUE(net_->start());
    for (std::string uid : {"a", "b", "client"}) netns_[uid] = net_->attach({.uid = uid})->netns_path;
    for (std::string uid : {"a", "b"}) {
      sh("mkdir " + dir_ + "/" + uid + "; echo " + uid + " > " + dir_ + "/" + uid + "/index.html");
      start("exec busybox httpd -f -p 80 -h " + dir_ + "/" + uid, netns_[uid]);
      start("exec socat -T3 UDP4-RECVFROM:53,fork SYSTEM:\"echo " + uid + " \\$SOCAT_PEERADDR\"", netns_[uid]);
      sh("for i in $(seq 50); do socat -u /dev/null TCP4:127.0.0.1:80 2>/dev/null && break; sleep 0.02; done", netns_[uid]);
    }
    socket_ = *os::netlink::Socket::open(NETLINK_NETFILTER);
    commit(table_.replace(state_.take_whole()));
  }
  void TearDown() override {
    if (net_) {
      commit(ProxyTable::remove(v6()));
      end_children();
      EXPECT_TRUE(net_->remove_all());
      sh("rm -rf " + dir_ + "/a " + dir_ + "/b");
    }
    NetTest::TearDown();
  }
  void commit(os::nft::Transaction tx) {
    auto done = tx.commit(socket_);
    EXPECT_TRUE(done) << done.error().message << "\n" << sh("nft list ruleset");
  }
  void set(const std::string& owner, std::vector<Entry> entries) {
    state_.set(owner, std::move(entries));
    commit(table_.update(state_.take_change()));
  }
  Address ip(const std::string& text) const { return *Address::parse(counterpart(text)); }
  Address any() const { return {.v6 = v6()}; }
  Backend a() const { return {ip("10.42.0.2"), 80}; }
  Backend b() const { return {ip("10.42.0.3"), 80}; }
  std::string get(const std::string& to, const std::string& from) {
    return sh("curl -s -m 2 -w \" %{http_code}\" " + to, from.empty() ? "" : netns_[from]);
  }
  /// The distinct answers of 24 requests.
  std::set<std::string> answers(const std::string& to, const std::string& from) {
    std::set<std::string> seen;
    for (std::string_view line :
         split(sh("curl -s -m 20 -H \"Connection: close\" \"http://" + to + "/?[1-24]\" || echo failed", from.empty() ? "" : netns_[from]),
               '\n'))
      if (!line.empty()) seen.insert(std::string(line));
    return seen;
  }

  const Front front_{ip("10.43.0.5"), Protocol::tcp, 8080};
  std::unique_ptr<PodNetwork> net_;
  std::map<std::string, std::string> netns_;
  ProxyState state_{side().cluster};
  ProxyTable table_{{.bridge = "estiba0", .side = side()}};
  os::netlink::Socket socket_;
};

using Names = std::set<std::string>;

INSTANTIATE_TEST_SUITE_P(Families, ProxyTableTest, testing::Bool(), [](const auto& info) { return info.param ? "IPv6" : "IPv4"; });

TEST_P(ProxyTableTest, AClusterAddressLeadsToEveryBackend) {
  set("default/web", {{front_, false, 0, {a(), b()}}});
  EXPECT_EQ(answers("10.43.0.5:8080", "client"), (Names{"a", "b"}));
  EXPECT_EQ(answers("10.43.0.5:8080", ""), (Names{"a", "b"})) << "from the node itself";
  EXPECT_EQ(answers("10.43.0.5:8080", "a"), (Names{"a", "b"})) << "a pod reaches itself through its service";
  for (const char* netfilter : {"0", "1"}) {
    auto set = os::rtnl::set_sysctl(v6() ? "net/bridge/bridge-nf-call-ip6tables" : "net/bridge/bridge-nf-call-iptables", netfilter);
    if (!set) continue;
    EXPECT_EQ(answers("10.43.0.5:8080", "a"), (Names{"a", "b"})) << "bridge-nf-call-iptables " << netfilter;
    EXPECT_EQ(answers("10.43.0.5:8080", "client"), (Names{"a", "b"})) << "bridge-nf-call-iptables " << netfilter;
  }
}

TEST_P(ProxyTableTest, ChangesAreIncrements) {
  set("default/web", {{front_, false, 0, {a(), b()}}});
  set("default/web", {{front_, false, 0, {b()}}});
  EXPECT_EQ(answers("10.43.0.5:8080", "client"), Names{"b"});
  set("default/web", {{front_, false, 0, {a(), b()}}});
  set("default/web", {{front_, false, 0, {a()}}});
  EXPECT_EQ(answers("10.43.0.5:8080", "client"), Names{"a"});
  EXPECT_EQ(os::nft::list_elements(socket_, family(), "estiba", "backends")->size(), 1u);
  set("default/web", {});
  for (const char* name : {"backends", "services", "self"})
    EXPECT_EQ(os::nft::list_elements(socket_, family(), "estiba", name)->size(), 0u) << name;
}

TEST_P(ProxyTableTest, WithoutBackendsConnectionsAreRefusedAtOnce) {
  set("default/web",
      {{front_, false, 0, {}}, {{ip("192.0.2.9"), Protocol::tcp, 80}, false, 0, {}}, {{any(), Protocol::tcp, 30080}, true, 0, {}}});
  for (std::string from : {"client", ""})
    for (std::string to : {"10.43.0.5:8080", "10.43.0.77:1", "10.42.0.1:30080"})
      EXPECT_EQ(get(to, from), " 000[exit 7]") << to << " from " << from << "; 7 is refused, 28 a timeout";
  EXPECT_EQ(get("192.0.2.9:80", "client"), " 000[exit 7]");
  EXPECT_TRUE(sh("echo | socat -T1 - UDP4:10.43.0.77:53", netns_["client"]).contains("refused"));
}

TEST_P(ProxyTableTest, ANodePortAnswersOnEveryAddressOfTheNode) {
  set("default/web", {{{any(), Protocol::tcp, 30080}, true, 0, {a(), b()}}});
  sh("ip addr add 192.0.2.1/32 dev lo");
  if (v6()) EXPECT_EQ(get("127.0.0.1:30080", ""), " 000[exit 7]") << "not at ::1";
  else EXPECT_EQ(answers("127.0.0.1:30080", ""), (Names{"a", "b"}));
  for (std::string to : {"10.42.0.1:30080", "192.0.2.1:30080"}) EXPECT_EQ(answers(to, ""), (Names{"a", "b"})) << to;
  EXPECT_EQ(answers("192.0.2.1:30080", "client"), (Names{"a", "b"}));
  EXPECT_EQ(answers("10.42.0.1:30080", "a"), (Names{"a", "b"}));
}

TEST_P(ProxyTableTest, OutsideClientsReachNodePortsAndPodsReachOutside) {
  set("default/web", {{{any(), Protocol::tcp, 30080}, true, 0, {a(), b()}}, {{ip("198.51.100.7"), Protocol::tcp, 80}, true, 0, {a()}}});
  // A host beside the node that knows nothing of pods.
  sh("touch " + dir_ + "/outside; unshare --net=" + dir_ + "/outside true");
  std::string outside = dir_ + "/outside";
  sh("ip link add keep0 type veth peer name eth0 netns " + outside + "; ip addr add 192.0.2.1/24 dev keep0; ip link set keep0 up");
  sh("ip link set lo up; ip addr add 192.0.2.2/24 dev eth0; ip link set eth0 up; ip route add default via 192.0.2.1", outside);
  netns_["outside"] = outside;
  EXPECT_EQ(answers("192.0.2.1:30080", "outside"), (Names{"a", "b"}));
  EXPECT_EQ(answers("198.51.100.7:80", "outside"), Names{"a"}) << "an external address";
  start("exec socat -T3 TCP4-LISTEN:7,fork,reuseaddr SYSTEM:\"echo \\$SOCAT_PEERADDR\"", outside);
  sh("for i in $(seq 50); do socat -u /dev/null TCP4:192.0.2.2:7 2>/dev/null && break; sleep 0.02; done");
  EXPECT_EQ(sh("socat -T1 - TCP4:192.0.2.2:7 </dev/null", netns_["client"]), shown("192.0.2.1") + "\n") << "masqueraded as the node";
  end_children();
  sh("umount " + outside + "; rm " + outside + "; ip link del keep0");
}

TEST_P(ProxyTableTest, ALocalPolicyIsForClientsOutside) {
  std::string outside = dir_ + "/outside";
  sh("touch " + outside + "; unshare --net=" + outside + " true");
  sh("ip link add keep0 type veth peer name eth0 netns " + outside + "; ip addr add 192.0.2.1/24 dev keep0; ip link set keep0 up");
  sh("ip link set lo up; ip addr add 192.0.2.2/24 dev eth0; ip link set eth0 up; ip route add default via 192.0.2.1", outside);
  netns_["outside"] = outside;
  const Front node{any(), Protocol::tcp, 30080}, balancer{ip("198.51.100.7"), Protocol::tcp, 80}, gone{any(), Protocol::tcp, 30081};
  set("default/web", {{.front = node, .backends = {a()}, .inside = {a(), b()}},
                      {.front = balancer, .backends = {a()}, .inside = {a(), b()}},
                      {.front = gone, .inside = {a(), b()}, .drops = true}});
  for (std::string to : {"192.0.2.1:30080", "198.51.100.7:80"}) {
    EXPECT_EQ(answers(to, "outside"), Names{"a"}) << to;
    EXPECT_EQ(answers(to, "client"), (Names{"a", "b"})) << to << " from a pod";
    EXPECT_EQ(answers(to, "a"), (Names{"a", "b"})) << to << " from a pod that is an endpoint";
  }
  EXPECT_EQ(answers("192.0.2.1:30080", ""), (Names{"a", "b"})) << "from the node itself";
  if (!v6()) EXPECT_EQ(answers("127.0.0.1:30080", ""), (Names{"a", "b"}));
  EXPECT_EQ(get("192.0.2.1:30081", "outside"), " 000[exit 28]") << "no answer: other nodes have endpoints";
  EXPECT_EQ(answers("192.0.2.1:30081", "client"), (Names{"a", "b"}));
  EXPECT_EQ(answers("192.0.2.1:30081", ""), (Names{"a", "b"}));
  // Its endpoint sees who asks.
  start("exec socat -T3 TCP4-LISTEN:7,fork,reuseaddr SYSTEM:\"echo \\$SOCAT_PEERADDR\"", netns_["a"]);
  set("default/who", {{.front = {any(), Protocol::tcp, 30007}, .backends = {{a().address, 7}}, .inside = {{a().address, 7}}}});
  sh("for i in $(seq 50); do socat -u /dev/null TCP4:10.42.0.2:7 2>/dev/null && break; sleep 0.02; done");
  EXPECT_EQ(sh("socat -T1 - TCP4:192.0.2.1:30007 </dev/null", outside), shown("192.0.2.2") + "\n");
  EXPECT_EQ(sh("socat -T1 - TCP4:192.0.2.1:30007 </dev/null", netns_["client"]), shown("10.42.0.4") + "\n");
  set("default/web", {});
  set("default/who", {});
  for (const char* name : {"backends", "services", "inside", "refused"})
    EXPECT_EQ(os::nft::list_elements(socket_, family(), "estiba", name)->size(), 0u) << name;
  end_children();
  sh("umount " + outside + "; rm " + outside + "; ip link del keep0");
}

TEST_P(ProxyTableTest, SourceRangesFenceALoadBalancer) {
  const Front balancer{ip("198.51.100.7"), Protocol::tcp, 80};
  const auto allow = [&](std::vector<std::string> ranges) {
    Entry entry{.front = balancer, .masquerade = true, .backends = {a()}};
    for (const std::string& range : ranges) entry.sources.push_back(*Prefix::parse(counterpart(range)));
    set("default/web", {std::move(entry)});
  };
  sh("ip addr add 192.0.2.1/32 dev lo; ip route add default dev estiba0 src 192.0.2.1");
  allow({"203.0.113.0/24", "10.42.0.4/32"});
  EXPECT_EQ(get("198.51.100.7:80", "client"), "a\n 200");
  EXPECT_EQ(get("198.51.100.7:80", "b"), " 000[exit 28]");
  EXPECT_EQ(get("198.51.100.7:80", ""), " 000[exit 28]") << "the node too";
  allow({"203.0.113.0/24", "192.0.2.0/24"});
  EXPECT_EQ(get("198.51.100.7:80", "client"), " 000[exit 28]");
  EXPECT_EQ(get("198.51.100.7:80", ""), "a\n 200");
  allow({});
  EXPECT_EQ(get("198.51.100.7:80", "b"), "a\n 200");
  EXPECT_EQ(os::nft::list_elements(socket_, family(), "estiba", "fenced")->size(), 0u);
  EXPECT_FALSE(sh(std::string("nft list table ") + (v6() ? "ip6" : "ip") + " estiba").contains("chain from_"));
  sh("ip route del default");
}

TEST_P(ProxyTableTest, TheNodesLoopbackIsClosedToPods) {
  if (v6()) GTEST_SKIP() << "the kernel itself takes no ::1 from a wire";
  start("exec busybox httpd -f -p 127.0.0.1:8099 -h " + dir_ + "/a");
  sh("for i in $(seq 50); do socat -u /dev/null TCP4:127.0.0.1:8099 2>/dev/null && break; sleep 0.02; done");
  EXPECT_EQ(get("127.0.0.1:8099", ""), "a\n 200");
  // As an attacker would: a route for 127/8 over the bridge, from a pod.
  sh("ip route del local 127.0.0.0/8 table local; ip route del local 127.0.0.1 table local; echo 1 > "
     "/proc/sys/net/ipv4/conf/all/route_localnet; "
     "ip route add 127.0.0.1 via 10.42.0.1 src 10.42.0.4",
     netns_["client"]);
  EXPECT_EQ(get("127.0.0.1:8099", "client"), " 000[exit 28]");
}

TEST_P(ProxyTableTest, AStickyClientKeepsItsBackend) {
  set("default/web", {{front_, false, 10800, {a(), b()}}, {{any(), Protocol::tcp, 30080}, true, 10800, {a(), b()}}});
  Names first = answers("10.43.0.5:8080", "client");
  EXPECT_EQ(first.size(), 1u);
  EXPECT_EQ(answers("10.42.0.1:30080", "client").size(), 1u);
  EXPECT_EQ(answers("10.43.0.5:8080", "").size(), 1u);
  // Another backend, another count, another table: it stays.
  set("default/web", {{front_, false, 10800, {a(), b(), {ip("10.42.0.9"), 80}}}});
  EXPECT_EQ(answers("10.43.0.5:8080", "client"), first);
  ProxyTable again({.bridge = "estiba0", .side = side()});
  auto tx = again.replace(state_.take_whole());
  again.keep_clients(tx, socket_);
  commit(std::move(tx));
  EXPECT_EQ(answers("10.43.0.5:8080", "client"), first) << "after a restart";
  // Its backend goes: another is kept.
  const bool was_a = first == Names{"a"};
  state_.set("default/web", {{front_, false, 10800, {was_a ? b() : a()}}});
  commit(again.update(state_.take_change()));
  EXPECT_EQ(answers("10.43.0.5:8080", "client"), Names{was_a ? "b" : "a"});
  state_.set("default/web", {{front_, false, 10800, {a(), b()}}});
  commit(again.update(state_.take_change()));
  EXPECT_EQ(answers("10.43.0.5:8080", "client"), Names{was_a ? "b" : "a"}) << "it has not come back by itself";
}

TEST_P(ProxyTableTest, AffinityEndsAfterItsTimeout) {
  set("default/web", {{front_, false, 1, {a(), b()}}});
  Names seen;
  for (int i = 0; i < 40 && seen.size() < 2; ++i) {
    Names now = answers("10.43.0.5:8080", "client");
    seen.insert(now.begin(), now.end());
    usleep(1'100'000);
  }
  EXPECT_EQ(seen, (Names{"a", "b"}));
}

TEST_P(ProxyTableTest, ReplacingTheTableBreaksNoConnection) {
  set("default/web", {{front_, false, 0, {a(), b()}}});
  std::string client =
      "{ printf \"GET / HTTP/1.0\\r\\n\"; sleep 0.5; printf \"\\r\\n\"; sleep 0.2; } | socat -T2 - TCP4:10.43.0.5:8080 | tail -n 1";
  std::string out = dir_ + "/answer";
  start(client + " > " + out, netns_["client"]);
  usleep(200'000);
  ProxyTable again({.bridge = "estiba0", .side = side()});
  commit(again.replace(state_.take_whole()));
  std::string answer;
  for (int i = 0; i < 100 && answer.empty(); ++i) answer = sh("sleep 0.1; cat " + out);
  EXPECT_TRUE(answer == "a\n" || answer == "b\n") << answer;
  EXPECT_EQ(answers("10.43.0.5:8080", "client"), (Names{"a", "b"}));
  sh("rm " + out);
}

TEST_P(ProxyTableTest, NoRequestFailsWhileServicesAndTableChange) {
  set("default/web", {{front_, false, 0, {a(), b()}}, {{any(), Protocol::tcp, 30080}, true, 0, {a(), b()}}});
  for (std::string loop : {"10.43.0.5:8080 >> " + dir_ + "/pod", "10.42.0.1:30080 >> " + dir_ + "/node"})
    start("while true; do curl -s -m 2 " + loop + " || echo failed; done", loop.starts_with("10.43") ? netns_["client"] : "");
  auto requests = [&](const char* who) {
    std::string answers = sh("cat " + dir_ + who);
    return std::ranges::count(answers, '\n');
  };
  for (int i = 0; i < 400 && (i < 60 || requests("/pod") < 20 || requests("/node") < 20); ++i) {
    std::vector<Backend> backends{i % 2 ? a() : b()};
    if (i % 3) backends = {a(), b()};
    set("default/web", {{front_, false, 0, backends}, {{any(), Protocol::tcp, 30080}, true, 0, backends}});
    if (i % 10 == 0) commit(table_.replace(state_.take_whole()));
    usleep(10'000);
  }
  for (const char* who : {"/pod", "/node"}) {
    EXPECT_EQ(sh("grep -c failed " + dir_ + who), "0\n[exit 1]");
    EXPECT_GE(requests(who), 20);
  }
  end_children();
  sh("rm " + dir_ + "/pod " + dir_ + "/node");
}

TEST_P(ProxyTableTest, ARefusedChangeNamesWhatWasRefusedAndChangesNothing) {
  set("default/web", {{front_, false, 0, {a()}}});
  ProxyState other(side().cluster);
  other.set("x", {{{ip("10.43.0.6"), Protocol::tcp, 1}, false, 0, {a()}}, {front_, false, 0, {b()}}});
  auto refused = table_.update(other.take_change()).commit(socket_);
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().message.contains("nftables: add elements to the set backends: File exists")) << refused.error().message;
  EXPECT_EQ(os::nft::list_elements(socket_, family(), "estiba", "backends")->size(), 1u);
}

TEST_P(ProxyTableTest, Timing) {
  for (int services : {1, 1000}) {
    ProxyState state(side().cluster);
    for (int i = 1; i <= services; ++i)
      state.set("ns/s" + std::to_string(i), {{{Address::from_value(ip("10.43.1.0").value() + unsigned(i), v6()), Protocol::tcp, 80},
                                              false,
                                              0,
                                              {a(), b(), {a().address, 81}}}});
    auto time = [] { return std::chrono::steady_clock::now(); };
    auto begin = time();
    commit(table_.replace(state.take_whole()));
    auto whole = time() - begin;
    begin = time();
    for (int i = 0; i < 10; ++i) {
      std::vector<Backend> backends{a()};
      if (i % 2) backends.push_back(b());
      state.set("ns/s1", {{{ip("10.43.1.1"), Protocol::tcp, 80}, false, 0, backends}});
      commit(table_.update(state.take_change()));
    }
    auto change = (time() - begin) / 10;
    printf("%d services: whole table %lld us, one change %lld us\n", services, (long long)(whole / std::chrono::microseconds(1)),
           (long long)(change / std::chrono::microseconds(1)));
  }
}

}  // namespace estiba::network
