// NetworkPolicies with real packets: a node's network, pods in namespaces of their own, and a fake API server.
#include <netinet/in.h>

#include "base/strings.h"
#include "client/testing/fake_client.h"
#include "io/loop.h"
#include "network/flows.h"
#include "network/network.h"
#include "network/testing.h"
#include "os/rtnl.h"

namespace estiba::network {

static constexpr client::Resource kPolicies{"networking.k8s.io", "v1", "networkpolicies"};

class PolicyPacketsTest : public NetTest {
 protected:
  void SetUp() override {
    NetTest::SetUp();
    if (IsSkipped()) return;
    for (std::string ns : {"default", "other", "kube-system"})
      api_.add(client::namespaces, "",
               R"({"apiVersion":"v1","kind":"Namespace","metadata":{"name":")" + ns + R"(","labels":{"kubernetes.io/metadata.name":")" +
                   ns + R"("}}})");
    begin();
  }
  void TearDown() override {
    if (network_) {
      end_children();
      EXPECT_TRUE(run(network_->remove_all()));
      network_.reset();
    }
    if (!dir_.empty()) sh("rm -rf " + dir_ + "/www-* " + dir_ + "/out");
    NetTest::TearDown();
  }
  void begin() {
    network_ = std::make_unique<Network>(
        Options{.run_dir = dir_, .data_dir = dir_, .node_name = "node", .resolv_conf = dir_ + "/resolv.conf", .pool = 0}, api_, loop_);
    ASSERT_TRUE(run(network_->start()));
    run(until_ready(network_.get()));
  }
  template <class T>
  T run(Task<T> task) {
    return loop_.block_on(std::move(task));
  }
  static Task<void> until_ready(Network* network) {
    while (!network->services_ready()) co_await sleep_for(std::chrono::milliseconds(1));
  }
  static Task<void> pause(int ms) { co_await sleep_for(std::chrono::milliseconds(ms)); }

  /// A pod "ns/name" with the label app=name, which answers with its name on port 80.
  void add(const std::string& ns, const std::string& name) {
    auto net = run(
        network_->attach({.uid = name, .ns = ns, .name = name, .labels = {{"app", name}}, .named_ports = {{Protocol::tcp, "http", 80}}}));
    ASSERT_TRUE(net) << net.error().message;
    pods_[name] = *net;
    sh("mkdir " + dir_ + "/www-" + name + "; echo " + name + " > " + dir_ + "/www-" + name + "/index.html");
    start("exec busybox httpd -f -p 80 -h " + dir_ + "/www-" + name, net->netns_path);
    sh("for i in $(seq 50); do socat -u /dev/null TCP4:127.0.0.1:80 2>/dev/null && break; sleep 0.02; done", net->netns_path);
  }
  std::string ip(const std::string& name) const { return pods_.at(name).ips[0]; }
  std::string in(const std::string& name) const { return name.empty() ? "" : pods_.at(name).netns_path; }
  /// True when `from` (the node, when empty) gets an answer of `to`, a pod's name or an address.
  bool reaches(const std::string& from, const std::string& to) {
    std::string address = pods_.contains(to) ? ip(to) : to;
    return !sh("curl -s --connect-timeout 0.4 -m 3 " + address, in(from)).contains("exit");
  }
  /// Waits until it is so, for what comes by a watch.
  bool reaches(const std::string& from, const std::string& to, bool wanted) {
    bool is = !wanted;
    for (int i = 0; i < 50 && is != wanted; ++i) {
      run(pause(i ? 20 : 1));
      is = reaches(from, to);
    }
    return is;
  }
  bool resolves(const std::string& from) {
    return sh("dig +short +tries=1 +time=1 @10.43.0.10 kubernetes.default.svc.cluster.local", in(from)) == "10.43.0.1\n";
  }
  void policy(const std::string& name, std::string spec, const std::string& ns = "default") {
    std::ranges::replace(spec, '\'', '"');
    if (api_.find(kPolicies, ns, name)) api_.merge(kPolicies, ns, name, R"({"spec":)" + spec + "}");
    else
      api_.add(kPolicies, ns,
               R"({"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":")" + name + R"("},"spec":)" + spec + "}");
    run(pause(1));
  }

  io::Loop loop_;
  client::testing::FakeClient api_{loop_};
  std::unique_ptr<Network> network_;
  std::map<std::string, PodNet> pods_;
};

TEST_F(PolicyPacketsTest, PoliciesAreMadeChangedAndRemoved) {
  add("default", "a");
  add("default", "b");
  add("other", "c");
  EXPECT_TRUE(reaches("b", "a"));
  policy("p", "{'podSelector':{'matchLabels':{'app':'a'}}}");
  EXPECT_FALSE(reaches("b", "a", false));
  EXPECT_FALSE(reaches("c", "a"));
  EXPECT_TRUE(reaches("a", "b")) << "only what comes in is stopped; replies are not";
  EXPECT_TRUE(reaches("", "a")) << "the node, for its probes";
  EXPECT_TRUE(reaches("a", "a"));
  policy("p",
         "{'podSelector':{'matchLabels':{'app':'a'}},'ingress':[{'from':[{'namespaceSelector':{'matchLabels':{'kubernetes.io/"
         "metadata.name':'other'}}}],'ports':[{'port':'http'}]}]}");
  EXPECT_TRUE(reaches("c", "a", true));
  EXPECT_FALSE(reaches("b", "a"));
  policy("q", "{'podSelector':{},'ingress':[{'from':[{'podSelector':{'matchLabels':{'app':'b'}}}]}]}");
  EXPECT_TRUE(reaches("b", "a", true)) << "policies add up";
  EXPECT_FALSE(reaches("c", "b"));
  api_.merge(client::namespaces, "", "other", R"({"metadata":{"labels":{"kubernetes.io/metadata.name":"renamed"}}})");
  EXPECT_FALSE(reaches("c", "a", false));
  api_.erase(kPolicies, "default", "p");
  api_.erase(kPolicies, "default", "q");
  EXPECT_TRUE(reaches("c", "a", true));
  EXPECT_EQ(sh("nft list table ip estiba_policy | grep -c -e peers_ -e pods_from -e from_"), "0\n[exit 1]") << "nothing is left of them";
}

TEST_F(PolicyPacketsTest, WhatIsDroppedIsCountedByDirectionAndPort) {
  add("default", "a");
  add("default", "b");
  policy("p", "{'podSelector':{'matchLabels':{'app':'a'}},'policyTypes':['Ingress','Egress']}");
  EXPECT_FALSE(reaches("b", "a", false));
  EXPECT_FALSE(reaches("a", "b"));
  sh("busybox ping -c 1 -W 1 " + ip("a"), in("b"));
  const KernelFlows flows = *read_kernel();
  std::set<std::string> denied;
  for (const policy::Denied& one : flows.denied) {
    EXPECT_GE(one.packets, 1u);
    EXPECT_GE(one.bytes, 60u);
    EXPECT_LT(one.ago_ms, 60'000u);
    denied.insert(one.source.text() + " " + one.destination.text() + " " + std::to_string(one.protocol) + " " + std::to_string(one.port) +
                  (one.direction == policy::Direction::ingress ? " in" : " out"));
  }
  EXPECT_EQ(denied, (std::set<std::string>{ip("b") + " " + ip("a") + " 6 80 in", ip("a") + " " + ip("b") + " 6 80 out",
                                           ip("b") + " " + ip("a") + " 1 0 in"}));
  policy("p", "{'podSelector':{}}");
  EXPECT_TRUE(reaches("", "a"));
  const KernelFlows accepted = *read_kernel();
  const bool seen = std::ranges::any_of(accepted.connections, [&](const os::conntrack::Connection& one) {
    return one.answered && one.destination == Address::parse(ip("a"))->raw() && one.destination_port == 80 && one.protocol == IPPROTO_TCP &&
           one.packets_sent >= 4 && one.bytes_received > 100 && one.began_ns > 0;
  });
  EXPECT_TRUE(seen);
}

TEST_F(PolicyPacketsTest, APodIsFencedBeforeItsFirstPacket) {
  add("default", "server");
  policy("out", "{'podSelector':{'matchLabels':{'app':'late'}},'policyTypes':['Ingress','Egress']}");
  add("default", "late");
  EXPECT_FALSE(reaches("late", "server"));
  EXPECT_FALSE(reaches("server", "late"));
  policy("in", "{'podSelector':{'matchLabels':{'app':'server'}},'ingress':[{'from':[{'podSelector':{'matchLabels':{'app':'client'}}}]}]}");
  EXPECT_FALSE(reaches("late", "server"));
  add("default", "client");
  EXPECT_TRUE(reaches("client", "server")) << "its address is a peer's before the API server knows it";
  EXPECT_TRUE(run(network_->detach("client")));
  EXPECT_EQ(sh("nft list table ip estiba_policy | grep -c " + ip("client")), "0\n[exit 1]");
}

TEST_F(PolicyPacketsTest, BlocksPortsAndRangesAsTheKernelSeesThem) {
  add("default", "a");
  add("default", "b");
  add("default", "c");
  for (int port : {8000, 8005, 8010, 8011, 65535})
    start("exec socat TCP4-LISTEN:" + std::to_string(port) + ",fork,reuseaddr SYSTEM:true", in("a"));
  for (int port : {8000, 8005, 8010, 8011, 65535})
    sh("for i in $(seq 50); do socat -u /dev/null TCP4:127.0.0.1:" + std::to_string(port) + " 2>/dev/null && break; sleep 0.02; done",
       in("a"));
  auto opens = [&](const std::string& from, int port) {
    return !sh("socat -u /dev/null TCP4:" + ip("a") + ":" + std::to_string(port) + ",connect-timeout=0.4", in(from)).contains("exit");
  };
  policy("p", "{'podSelector':{'matchLabels':{'app':'a'}},'ingress':[{'from':[{'ipBlock':{'cidr':'10.42.0.0/16','except':['" + ip("c") +
                  "/32']}}],"
                  "'ports':[{'port':8000,'endPort':8010},{'port':65500,'endPort':65535},{'port':53,'protocol':'UDP'}]}]}");
  EXPECT_FALSE(reaches("b", "a", false)) << "port 80";
  for (int port : {8000, 8005, 8010, 65535}) EXPECT_TRUE(opens("b", port)) << port;
  EXPECT_FALSE(opens("b", 8011));
  EXPECT_FALSE(opens("c", 8005)) << "an exception";
  policy("p", "{'podSelector':{'matchLabels':{'app':'a'}},'ingress':[{'from':[{'ipBlock':{'cidr':'0.0.0.0/0'}}],'ports':[{'port':80}]}]}");
  EXPECT_TRUE(reaches("c", "a", true));
  EXPECT_FALSE(opens("b", 8005));
  start("exec socat -T3 UDP4-RECVFROM:53,fork SYSTEM:\"echo yes\"", in("a"));
  auto ask = [&](int tries) {
    return "for i in $(seq " + std::to_string(tries) + "); do out=$(echo | socat -T0.3 - UDP4:" + ip("a") +
           ":53); [ -n \"$out\" ] && break; sleep 0.05; done; echo $out";
  };
  EXPECT_EQ(sh(ask(3), in("b")), "\n");
  policy("p", "{'podSelector':{'matchLabels':{'app':'a'}},'ingress':[{'ports':[{'port':53,'protocol':'UDP'}]}]}");
  EXPECT_FALSE(reaches("b", "a", false));
  EXPECT_EQ(sh(ask(30), in("b")), "yes\n") << "a slow machine has nine seconds";
}

TEST_F(PolicyPacketsTest, EgressServicesAndTheClustersDns) {
  api_.add(
      client::services, "default",
      R"({"apiVersion":"v1","kind":"Service","metadata":{"name":"kubernetes","namespace":"default"},"spec":{"clusterIP":"10.43.0.1","ports":[{"port":443}]}})");
  api_.add(
      client::services, "default",
      R"({"apiVersion":"v1","kind":"Service","metadata":{"name":"web","namespace":"default"},"spec":{"clusterIP":"10.43.0.5","ports":[{"port":8080}]}})");
  add("default", "a");
  add("default", "b");
  add("default", "client");
  api_.add(
      client::endpoint_slices, "default",
      R"({"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"name":"web-x","labels":{"kubernetes.io/service-name":"web"}},"addressType":"IPv4","ports":[{"name":"","port":80,"protocol":"TCP"}],"endpoints":[{"addresses":[")" +
          ip("a") + R"("]}]})");
  EXPECT_TRUE(reaches("client", "10.43.0.5:8080", true));
  EXPECT_TRUE(resolves("client"));
  policy("p", "{'podSelector':{'matchLabels':{'app':'client'}},'policyTypes':['Egress']}");
  EXPECT_FALSE(reaches("client", "a", false));
  EXPECT_FALSE(reaches("client", "10.43.0.5:8080"));
  EXPECT_FALSE(resolves("client")) << "names are a way out too";
  EXPECT_TRUE(resolves("a"));
  EXPECT_TRUE(reaches("a", "client"));
  policy("p",
         "{'podSelector':{'matchLabels':{'app':'client'}},'policyTypes':['Egress'],'egress':["
         "{'to':[{'namespaceSelector':{'matchLabels':{'kubernetes.io/"
         "metadata.name':'kube-system'}},'podSelector':{'matchLabels':{'k8s-app':'kube-dns'}}}],'ports':[{'port':53,'protocol':'UDP'}]},"
         "{'to':[{'podSelector':{'matchLabels':{'app':'a'}}}],'ports':[{'port':80}]}]}");
  EXPECT_TRUE(reaches("client", "10.43.0.5:8080", true)) << "the rule is about the pod's own port";
  EXPECT_TRUE(resolves("client"));
  EXPECT_FALSE(reaches("client", "b"));
  for (const char* netfilter : {"0", "1"}) {
    if (!os::rtnl::set_sysctl("net/bridge/bridge-nf-call-iptables", netfilter)) continue;
    EXPECT_TRUE(reaches("client", "10.43.0.5:8080")) << netfilter;
    EXPECT_TRUE(reaches("a", "10.43.0.5:8080")) << "itself; bridge-nf-call-iptables " << netfilter;
    EXPECT_FALSE(reaches("client", "b")) << netfilter;
  }
}

TEST_F(PolicyPacketsTest, AConnectionEndsWithItsPermission) {
  add("default", "a");
  add("default", "b");
  std::string out = dir_ + "/out";
  start("exec socat -u TCP4-LISTEN:7 OPEN:" + out + ",creat,append", in("a"));
  start("for i in $(seq 100); do socat -u SYSTEM:\"while sleep 0.02; do echo x; done\" TCP4:" + ip("a") + ":7 && break; sleep 0.02; done",
        in("b"));
  auto size = [&] { return sh("stat -c %s " + out + " 2>/dev/null || echo 0"); };
  for (int i = 0; i < 100 && size() < "2"; ++i) run(pause(20));
  std::string before = size();
  EXPECT_GT(before, "2") << "the connection is there";
  policy("p", "{'podSelector':{'matchLabels':{'app':'a'}}}");
  EXPECT_FALSE(reaches("b", "a", false));
  before = size();
  run(pause(200));
  EXPECT_EQ(size(), before);
}

TEST_F(PolicyPacketsTest, NobodyGoesPastTheNodeOrInAnothersName) {
  add("default", "a");
  add("default", "b");
  add("default", "c");
  policy("p", "{'podSelector':{'matchLabels':{'app':'a'}},'ingress':[{'from':[{'podSelector':{'matchLabels':{'app':'c'}}}]}]}");
  EXPECT_FALSE(reaches("b", "a", false));
  EXPECT_TRUE(reaches("c", "a"));
  // Straight to the neighbour, as who may make raw sockets could.
  sh("ip route add " + ip("a") + " dev eth0; ip neigh add " + ip("a") + " lladdr " + pods_["a"].mac + " dev eth0", in("b"));
  EXPECT_FALSE(reaches("b", "a"));
  sh("ip route del " + ip("a") + " dev eth0", in("b"));
  // In the name of one who may.
  std::string out = dir_ + "/out";
  start("exec socat -u UDP4-RECV:9 OPEN:" + out + ",creat,append", in("a"));
  sh("ip address add " + ip("c") + "/32 dev lo", in("b"));
  std::string forged = "for i in 1 2 3 4 5; do echo forged | socat -u - UDP4:" + ip("a") + ":9,bind=" + ip("c") + "; sleep 0.05; done";
  sh(forged, in("b"));
  EXPECT_EQ(sh("cat " + out), "");
  sh("nft delete table bridge estiba_ports");
  sh(forged, in("b"));
  EXPECT_TRUE(sh("cat " + out).contains("forged")) << "it is that table which stops it";
}

TEST_F(PolicyPacketsTest, PoliciesOutliveTheServer) {
  add("default", "a");
  add("default", "b");
  policy("p", "{'podSelector':{'matchLabels':{'app':'a'}}}");
  EXPECT_FALSE(reaches("b", "a", false));
  ASSERT_TRUE(run(network_->stop()));
  network_.reset();
  EXPECT_FALSE(reaches("b", "a")) << "the server has stopped";
  EXPECT_TRUE(reaches("a", "b"));
  // As the API server knows them: after a restart their labels come from there.
  for (std::string name : {"a", "b"})
    api_.add(client::pods, "default",
             R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":")" + name + R"(","uid":")" + name + R"(","labels":{"app":")" + name +
                 R"("}},"spec":{"nodeName":"node"},"status":{}})");
  begin();
  EXPECT_FALSE(reaches("b", "a"));
  EXPECT_TRUE(reaches("a", "b"));
  api_.erase(kPolicies, "default", "p");
  EXPECT_TRUE(reaches("b", "a", true));
}

}  // namespace estiba::network
