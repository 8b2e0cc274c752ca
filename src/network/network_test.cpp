#include "network/network.h"

#include "base/strings.h"
#include "client/testing/fake_client.h"
#include "io/loop.h"
#include "network/testing.h"

namespace estiba::network {

class NetworkTest : public NetTest {
 protected:
  Options options() const {
    return {.run_dir = dir_, .data_dir = dir_, .node_name = "node", .resolv_conf = dir_ + "/resolv.conf", .pool = 2};
  }
  template <class T>
  T run(Task<T> task) {
    return loop_.block_on(std::move(task));
  }
  Task<void> until_ready(Network* network) {
    while (!network->services_ready()) co_await sleep_for(std::chrono::milliseconds(1));
  }
  void turn(int ms) {
    run([](int ms) -> Task<void> { co_await sleep_for(std::chrono::milliseconds(ms)); }(ms));
  }
  /// Runs the command, while the network goes on working, until it prints what is wanted or two seconds have passed.
  std::string eventually(const std::string& wanted, const std::string& command, const std::string& netns = {}) {
    std::string out;
    for (int i = 0; i < 100 && (i == 0 || out != wanted); ++i) {
      turn(i ? 20 : 1);
      out = sh(command, netns);
    }
    return out;
  }
  static std::string service(const std::string& name, const std::string& spec) {
    return R"({"apiVersion":"v1","kind":"Service","metadata":{"name":")" + name + R"(","namespace":"default"},"spec":)" + spec + "}";
  }
  static std::string slice(const std::string& service, const std::string& endpoints, const std::string& ports) {
    return R"({"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"name":")" + service +
           R"(-x","namespace":"default","labels":{"kubernetes.io/service-name":")" + service + R"("}},"addressType":"IPv4","endpoints":)" +
           endpoints + R"(,"ports":)" + ports + "}";
  }
  void serve(const PodNet& pod, const std::string& name) {
    sh("mkdir /tmp/" + name_of(name) + "; echo " + name + " > /tmp/" + name_of(name) + "/index.html");
    start("exec busybox httpd -f -p 80 -h /tmp/" + name_of(name), pod.netns_path);
    sh("for i in $(seq 50); do socat -u /dev/null TCP4:127.0.0.1:80 2>/dev/null && break; sleep 0.02; done", pod.netns_path);
  }
  std::string name_of(const std::string& name) const { return dir_.substr(dir_.rfind('/') + 1) + "-" + name; }
  void TearDown() override {
    sh("rm -rf " + dir_ + "-*");
    NetTest::TearDown();
  }

  io::Loop loop_;
  client::testing::FakeClient api_{loop_};
};

TEST_F(NetworkTest, AServiceIsServedFollowedAndOutlivesTheServer) {
  api_.add(client::services, "default", service("web", R"({"clusterIP":"10.43.0.5","ports":[{"port":80}]})"));
  PodNet a, b, client;
  {
    Network network(options(), api_, loop_);
    ASSERT_TRUE(run(network.start()));
    EXPECT_EQ(network.dns_address(), "10.43.0.10");
    EXPECT_EQ(network.gateway(), "10.42.0.1");
    a = *run(network.attach({.uid = "a"}));
    b = *run(network.attach({.uid = "b"}));
    client = *run(network.attach({.uid = "client"}));
    serve(a, "a");
    serve(b, "b");
    run(until_ready(&network));
    std::string get = "curl -s -m2 10.43.0.5";
    EXPECT_EQ(sh(get, client.netns_path), "[exit 7]") << "no endpoints yet";
    std::string ports = R"([{"name":"","port":80,"protocol":"TCP"}])";
    api_.add(client::endpoint_slices, "default",
             slice("web", R"([{"addresses":[")" + a.ips[0] + R"("],"conditions":{"ready":true}}])", ports));
    EXPECT_EQ(eventually("a\n", get, client.netns_path), "a\n");
    api_.merge(
        client::endpoint_slices, "default", "web-x",
        R"({"endpoints":[{"addresses":[")" + a.ips[0] + R"("],"conditions":{"ready":false}},{"addresses":[")" + b.ips[0] + R"("]}]})");
    EXPECT_EQ(eventually("b\n", get, client.netns_path), "b\n");
    EXPECT_EQ(sh("dig +short +tries=1 @10.43.0.10 web.default.svc.cluster.local", client.netns_path), "10.43.0.5\n");
    EXPECT_EQ(sh("dig +short +tries=1 +tcp @10.43.0.10 web.default.svc.cluster.local"), "10.43.0.5\n") << "from the node";
    ASSERT_TRUE(run(network.stop()));
    EXPECT_EQ(sh(get, client.netns_path), "b\n") << "the server has stopped";
  }
  {
    Network network(options(), api_, loop_);
    ASSERT_TRUE(run(network.start()));
    ASSERT_TRUE(network.find("b"));
    EXPECT_EQ(network.find("b")->ips, b.ips);
    ASSERT_TRUE(run(network.recover({"b", "client"})));
    EXPECT_FALSE(network.find("a"));
    run(until_ready(&network));
    EXPECT_EQ(sh("curl -s -m2 10.43.0.5", client.netns_path), "b\n");
    ASSERT_TRUE(run(network.remove_all()));
  }
}

TEST_F(NetworkTest, WithoutPodsStoppingLeavesNothing) {
  Network network(options(), api_, loop_);
  ASSERT_TRUE(run(network.start()));
  auto pod = run(network.attach({.uid = "a"}));
  ASSERT_TRUE(pod);
  ASSERT_TRUE(run(network.detach("a")));
  ASSERT_TRUE(run(network.stop()));
}

TEST_F(NetworkTest, AHostPortLeadsToItsPod) {
  Network network(options(), api_, loop_);
  ASSERT_TRUE(run(network.start()));
  run(until_ready(&network));
  auto pod = run(network.attach({.uid = "a", .host_ports = {{Protocol::tcp, 8080, 80}}}));
  ASSERT_TRUE(pod);
  serve(*pod, "a");
  EXPECT_EQ(eventually("a\n", "curl -s -m2 127.0.0.1:8080"), "a\n");
  ASSERT_TRUE(run(network.detach("a")));
  EXPECT_EQ(eventually("[exit 7]", "curl -s -m2 127.0.0.1:8080"), "[exit 7]");
  ASSERT_TRUE(run(network.remove_all()));
}

TEST_F(NetworkTest, ThePoolIsFilledAndTheDetachedSweptInTheBackground) {
  Network network(options(), api_, loop_);
  ASSERT_TRUE(run(network.start()));
  ASSERT_TRUE(run(network.attach({.uid = "a"})));
  std::string count = "ls " + dir_ + "/netns | wc -l";
  EXPECT_EQ(eventually("3\n", count), "3\n");
  ASSERT_TRUE(run(network.detach("a")));
  EXPECT_EQ(eventually("2\n", count), "2\n");
  ASSERT_TRUE(run(network.remove_all()));
}

TEST_F(NetworkTest, AUdpClientThatKeepsItsPortIsLedToTheNewEndpoint) {
  Network network(options(), api_, loop_);
  ASSERT_TRUE(run(network.start()));
  std::map<std::string, PodNet> pods;
  for (std::string uid : {"a", "b", "client"}) pods[uid] = *run(network.attach({.uid = uid}));
  for (std::string uid : {"a", "b"}) start("exec socat -T3 UDP4-RECVFROM:53,fork SYSTEM:\"echo " + uid + "\"", pods[uid].netns_path);
  auto endpoint = [&](const std::string& uid) { return R"({"endpoints":[{"addresses":[")" + pods[uid].ips[0] + R"("]}]})"; };
  api_.add(client::services, "default", service("dns", R"({"clusterIP":"10.43.0.6","ports":[{"port":53,"protocol":"UDP"}]})"));
  api_.add(client::endpoint_slices, "default", slice("dns", "[]", R"([{"name":"","port":53,"protocol":"UDP"}])"));
  std::string ask =
      "for i in $(seq 20); do out=$(echo | socat -T0.3 - UDP4:10.43.0.6:53,sourceport=4242); [ -n \"$out\" ] && break; done; echo $out";
  for (std::string uid : {"a", "b", "a"}) {
    api_.merge(client::endpoint_slices, "default", "dns-x", endpoint(uid));
    EXPECT_EQ(eventually(uid + "\n", ask, pods["client"].netns_path), uid + "\n");
  }
  ASSERT_TRUE(run(network.remove_all()));
}

TEST_F(NetworkTest, AServerThatCannotStartRemovesNothingOfAnothers) {
  Network network(options(), api_, loop_);
  ASSERT_TRUE(run(network.start()));
  ASSERT_TRUE(run(network.attach({.uid = "a"})));
  auto elsewhere = options();
  elsewhere.run_dir = dir_ + "/other";
  Network second(elsewhere, api_, loop_);
  EXPECT_FALSE(run(second.start()));
  EXPECT_TRUE(run(second.stop()));
  EXPECT_TRUE(run(second.remove_all()));
  EXPECT_TRUE(sh("ip -o link").contains("ev0a2a0002"));
  EXPECT_EQ(sh("nft list tables | sort"), "table bridge estiba_ports\ntable ip estiba\ntable ip estiba_policy\n");
  sh("rm -r " + dir_ + "/other");
  ASSERT_TRUE(run(network.remove_all()));
}

TEST_F(NetworkTest, WhatOthersFlushComesBack) {
  Network network(options(), api_, loop_);
  ASSERT_TRUE(run(network.start()));
  PodNet a = *run(network.attach({.uid = "a", .ns = "default"})), client = *run(network.attach({.uid = "client", .ns = "default"}));
  serve(a, "a");
  api_.add(client::services, "default", service("web", R"({"clusterIP":"10.43.0.5","ports":[{"port":80}]})"));
  api_.add(client::endpoint_slices, "default",
           slice("web", R"([{"addresses":[")" + a.ips[0] + R"("]}])", R"([{"name":"","port":80,"protocol":"TCP"}])"));
  std::string get = "curl -s -m2 10.43.0.5", tables = "nft -s list ruleset | sort";
  EXPECT_EQ(eventually("a\n", get, client.netns_path), "a\n");
  turn(30);
  std::string whole = sh(tables);
  for (std::string flush : {"nft flush ruleset", "nft flush table ip estiba", "nft flush chain bridge estiba_ports ports",
                            "nft delete table ip estiba_policy", "nft flush set bridge estiba_ports senders"}) {
    EXPECT_EQ(sh(flush), "") << flush;
    EXPECT_EQ(eventually(whole, tables), whole) << flush;
    EXPECT_EQ(sh(get, client.netns_path), "a\n") << flush;
  }
  sh("nft add table ip keep");
  turn(30);
  EXPECT_TRUE(sh("nft list tables").contains("ip keep")) << "others' tables are theirs";
  sh("nft delete table ip keep");
  ASSERT_TRUE(run(network.remove_all()));
}

TEST_F(NetworkTest, WrongCidrsAreNamed) {
  auto overlapping = options();
  overlapping.service_cidr = "10.42.0.0/16";
  Network network(overlapping, api_, loop_);
  auto started = run(network.start());
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().message, "the pod CIDR 10.42.0.0/24 and the service CIDR 10.42.0.0/16 overlap");
  auto broken = options();
  broken.pod_cidr = "10.42.0.1/24";
  Network second(broken, api_, loop_);
  started = run(second.start());
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().message, "--pod-cidr: the prefix \"10.42.0.1/24\" has bits set beyond its length");
}

}  // namespace estiba::network
