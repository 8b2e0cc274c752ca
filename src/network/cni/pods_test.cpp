// With Debian's containernetworking-plugins; skipped where they are not installed.
#include "network/cni/pods.h"

#include <unistd.h>

#include "network/testing.h"
#include "os/file.h"

namespace estiba::network::cni {
namespace {

constexpr const char* debian = "/usr/lib/cni";

class CniPodsTest : public NetTest {
 protected:
  void SetUp() override {
    NetTest::SetUp();
    if (IsSkipped()) return;
    if (access((std::string(debian) + "/ptp").c_str(), X_OK) != 0) GTEST_SKIP() << "needs Debian's package containernetworking-plugins";
    ASSERT_TRUE(os::make_dirs(dir_ + "/net.d"));
    ASSERT_TRUE(os::make_dirs(dir_ + "/bin"));
    sh("ip link set lo up; echo 1 > /proc/sys/net/ipv4/ip_forward");
  }
  void TearDown() override {
    for (const char* folder : {"/net.d", "/bin", "/ipam", "/network"}) (void)os::remove_all(dir_ + folder);
    NetTest::TearDown();
  }
  Pods::Config config() const {
    return {.run_dir = dir_, .data_dir = dir_, .configurations = dir_ + "/net.d", .plugins = {dir_ + "/bin", debian}};
  }
  std::string ipam(const std::string& subnet) const {
    return R"("ipam":{"type":"host-local","dataDir":")" + dir_ + R"(/ipam","ranges":[[{"subnet":")" + subnet +
           R"("}]],"routes":[{"dst":"0.0.0.0/0"}]})";
  }
  void configure(const std::string& plugins, const std::string& name = "10-pods.conflist") {
    ASSERT_TRUE(
        os::write_file(dir_ + "/net.d/" + name, R"({"cniVersion":"1.0.0","name":"pods","plugins":[)" + plugins + "]}", O_CREAT | O_TRUNC));
  }
  std::string reserved() const { return sh("ls " + dir_ + "/ipam/pods 2>/dev/null | grep '^10' | xargs"); }
};

TEST_F(CniPodsTest, PodsOfDebiansPluginsReachEachOther) {
  configure(R"({"type":"ptp","mtu":1400,)" + ipam("10.9.0.0/24") + "}");
  Pods pods(config());
  ASSERT_TRUE(pods.start());
  ASSERT_TRUE(pods.status());
  auto a = pods.attach({.uid = "a", .ns = "default", .name = "a"}), b = pods.attach({.uid = "b"});
  ASSERT_TRUE(a) << a.error().message;
  ASSERT_TRUE(b) << b.error().message;
  EXPECT_EQ(a->ips, std::vector<std::string>{"10.9.0.2"});
  EXPECT_EQ(pods.attach({.uid = "a"})->ips, a->ips) << "asked twice, the answer is the same";
  EXPECT_EQ(sh("busybox ping -c1 -W1 -q " + b->ips[0] + " >/dev/null", a->netns_path), "");
  EXPECT_EQ(sh("busybox ping -c1 -W1 -q 127.0.0.1 >/dev/null", a->netns_path), "");
  EXPECT_EQ(reserved(), "10.9.0.2 10.9.0.3\n");
  ASSERT_TRUE(pods.detach("a"));
  EXPECT_EQ(reserved(), "10.9.0.3\n");
  EXPECT_FALSE(pods.find("a"));
  EXPECT_EQ(pods.pods().size(), 1u);
  ASSERT_TRUE(pods.remove_all());
  EXPECT_EQ(reserved(), "\n");
}

TEST_F(CniPodsTest, ARestartKnowsItsPodsAndFreesThoseOfAReboot) {
  configure(R"({"type":"ptp",)" + ipam("10.9.0.0/24") + "}");
  {
    Pods pods(config());
    ASSERT_TRUE(pods.start());
    ASSERT_TRUE(pods.attach({.uid = "a", .ns = "default", .name = "a"}));
    ASSERT_TRUE(pods.attach({.uid = "b"}));
  }
  // The configuration has changed since: DEL is given the old one.
  configure(R"({"type":"bridge"})");
  ASSERT_EQ(sh("umount " + dir_ + "/netns/b; rm " + dir_ + "/netns/b"), "");
  Pods pods(config());
  ASSERT_TRUE(pods.start());
  ASSERT_EQ(pods.pods().size(), 1u);
  EXPECT_EQ(pods.pods()[0].name, "a");
  EXPECT_EQ(pods.find("a")->ips, std::vector<std::string>{"10.9.0.2"});
  EXPECT_TRUE(*pods.sweep());
  EXPECT_EQ(reserved(), "10.9.0.2\n");
  EXPECT_FALSE(*pods.sweep());
  ASSERT_TRUE(pods.remove_all());
  EXPECT_EQ(reserved(), "\n");
}

TEST_F(CniPodsTest, WhatAPluginLeavesHalfDoneGoes) {
  ASSERT_TRUE(os::write_file(dir_ + "/bin/broken",
                             "#!/bin/sh\n[ $CNI_COMMAND = DEL ] || { echo '{\"code\":100,\"msg\":\"no switch\"}'; exit 1; }\n", O_CREAT,
                             0755));
  configure(R"({"type":"ptp",)" + ipam("10.9.0.0/24") + R"(},{"type":"broken"})");
  Pods pods(config());
  ASSERT_TRUE(pods.start());
  auto a = pods.attach({.uid = "a"});
  ASSERT_FALSE(a);
  EXPECT_EQ(a.error().message, "CNI network pods, plugin broken, ADD: no switch");
  EXPECT_EQ(reserved(), "\n");
  EXPECT_FALSE(sh("ip -o link").contains("veth"));
  // With the list mended the pod's next try succeeds.
  configure(R"({"type":"ptp",)" + ipam("10.9.0.0/24") + "}");
  EXPECT_TRUE(pods.attach({.uid = "a"}));
  ASSERT_TRUE(pods.remove_all());
}

TEST_F(CniPodsTest, WhatCannotBeTakenAwayIsTriedAgain) {
  const std::string may = dir_ + "/bin/may";
  ASSERT_TRUE(os::write_file(dir_ + "/bin/stubborn",
                             "#!/bin/sh\n[ $CNI_COMMAND = ADD ] && exec " + std::string(debian) + "/ptp\n[ -e " + may +
                                 " ] || { echo '{\"code\":5,\"msg\":\"busy\"}'; exit 1; }\nexec " + debian + "/ptp\n",
                             O_CREAT, 0755));
  configure(R"({"type":"stubborn",)" + ipam("10.9.0.0/24") + "}");
  Pods pods(config());
  ASSERT_TRUE(pods.start());
  ASSERT_TRUE(pods.attach({.uid = "a"}));
  ASSERT_TRUE(pods.detach("a"));
  EXPECT_FALSE(pods.find("a")) << "for all others it is gone";
  EXPECT_EQ(reserved(), "10.9.0.2\n");
  EXPECT_FALSE(pods.sweep());
  ASSERT_TRUE(os::write_file(may, "", O_CREAT));
  EXPECT_TRUE(*pods.sweep());
  EXPECT_EQ(reserved(), "\n");
  ASSERT_TRUE(pods.remove_all());
}

TEST_F(CniPodsTest, ANetworkThatIsNotAsItShouldBeIsFoundAtARestart) {
  configure(R"({"type":"ptp",)" + ipam("10.9.0.0/24") + R"(},{"type":"portmap","capabilities":{"portMappings":true}})");
  {
    Pods pods(config());
    ASSERT_TRUE(pods.start());
    for (const char* uid : {"a", "b", "c"}) ASSERT_TRUE(pods.attach({.uid = uid, .host_ports = {{Protocol::tcp, 8080, 80}}}));
  }
  {
    Pods pods(config());
    ASSERT_TRUE(pods.start());
    EXPECT_EQ(pods.pods().size(), 3u) << "they are as they should be";
  }
  sh("ip link delete eth0", dir_ + "/netns/a");
  sh("ip address flush dev eth0", dir_ + "/netns/b");
  Pods pods(config());
  ASSERT_TRUE(pods.start());
  ASSERT_EQ(pods.pods().size(), 1u);
  EXPECT_TRUE(pods.find("c"));
  auto again = pods.attach({.uid = "a"});
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(sh("busybox ping -c1 -W1 -q " + pods.find("c")->ips[0] + " >/dev/null", again->netns_path), "");
  ASSERT_TRUE(pods.remove_all());
  EXPECT_EQ(reserved(), "\n");
  sh("nft delete table ip nat; nft delete table ip6 nat");  // which portmap leaves behind
}

TEST_F(CniPodsTest, WhatIsLeftGoesWhenAnotherNetworkIsChosen) {
  configure(R"({"type":"ptp",)" + ipam("10.9.0.0/24") + "}");
  {
    Pods pods(config());
    ASSERT_TRUE(pods.start());
    ASSERT_TRUE(pods.attach({.uid = "a"}));
    ASSERT_TRUE(pods.attach({.uid = "b"}));
  }
  auto without = config();
  without.configurations.clear();
  ASSERT_TRUE(Pods::remove_left(without, {}));
  EXPECT_EQ(reserved(), "\n");
  EXPECT_FALSE(sh("ip -o link").contains("veth"));
  EXPECT_EQ(sh("ls " + dir_ + "/netns"), "");
  EXPECT_FALSE(os::exists(dir_ + "/network/cni"));
  ASSERT_TRUE(Pods::remove_left(without, {})) << "there is nothing any more";
  ASSERT_TRUE(os::remove_dir(dir_ + "/network"));
  for (const char* folder : {"/netns", "/userns"}) ASSERT_TRUE(os::remove_dir(dir_ + folder));
}

TEST_F(CniPodsTest, PluginsAreToldOfThePodsBandwidth) {
  ASSERT_TRUE(
      os::write_file(dir_ + "/bin/notes", "#!/bin/sh\ntee " + dir_ + "/bin/told.$CNI_COMMAND | " + debian + "/ptp\n", O_CREAT, 0755));
  configure(R"({"type":"notes","capabilities":{"bandwidth":true},)" + ipam("10.9.0.0/24") + "}");
  Pods pods(config());
  ASSERT_TRUE(pods.start());
  ASSERT_TRUE(pods.attach({.uid = "a", .bandwidth = {.ingress = 10'000'000}}));
  EXPECT_TRUE(
      sh("cat " + dir_ + "/bin/told.ADD").contains(R"("runtimeConfig":{"bandwidth":{"ingressRate":10000000,"ingressBurst":1048576}})"));
  ASSERT_TRUE(pods.detach("a"));
  EXPECT_TRUE(sh("cat " + dir_ + "/bin/told.DEL").contains(R"("ingressRate":10000000)"));
  ASSERT_TRUE(pods.remove_all());
}

TEST_F(CniPodsTest, WithoutAListThereIsNoNetwork) {
  Pods pods(config());
  ASSERT_TRUE(pods.start());
  auto status = pods.status();
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message, "no CNI configuration can be used in " + dir_ + "/net.d");
  EXPECT_EQ(status.error().code, Code::unavailable);
  EXPECT_FALSE(pods.attach({.uid = "a"}));
  configure("7");
  EXPECT_TRUE(pods.status().error().message.contains("plugins[0] must be an object"));
  ASSERT_TRUE(pods.remove_all());
}

}  // namespace
}  // namespace estiba::network::cni
