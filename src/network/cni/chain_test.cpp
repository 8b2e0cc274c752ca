#include "network/cni/chain.h"

#include <gtest/gtest.h>

#include "network/testing.h"
#include "os/file.h"

namespace estiba::network::cni {
namespace {

// --- configurations ------------------------------------------------------------------------------------------------------

std::string refusal(std::string text) {
  auto list = parse_list(std::move(text), "/etc/cni/net.d/10-x.conflist");
  return list ? "" : list.error().message;
}

TEST(CniConfig, AListTellsItsPluginsAndWhatTheyWant) {
  auto list = parse_list(R"({"cniVersion":"1.0.0","name":"pods","plugins":[{"type":"ptp","mtu":1400},
      {"type":"portmap","capabilities":{"portMappings":true,"bandwidth":false}}]})",
                         "f");
  ASSERT_TRUE(list) << list.error().message;
  EXPECT_EQ(list->name, "pods");
  ASSERT_EQ(list->plugins.size(), 2u);
  EXPECT_EQ(list->plugins[0].type, "ptp");
  EXPECT_EQ(list->plugins[0].text, R"({"type":"ptp","mtu":1400})");
  EXPECT_TRUE(list->has_capability("portMappings"));
  EXPECT_FALSE(list->has_capability("bandwidth"));
  EXPECT_TRUE(list->check);
  EXPECT_FALSE(list->gc) << "there is none before 1.1.0";
}

TEST(CniConfig, OnePluginStandsForAList) {
  auto list = parse_list(R"({"name":"old","type":"bridge"})", "f");
  ASSERT_TRUE(list) << list.error().message;
  EXPECT_EQ(list->version, "0.1.0");
  EXPECT_EQ(list->plugins[0].type, "bridge");
  EXPECT_FALSE(list->check) << "there is none before 0.4.0";
}

TEST(CniConfig, OfSeveralVersionsTheLatestKnownIsSpoken) {
  auto list = parse_list(R"({"name":"x","cniVersion":"1.0.0","cniVersions":["0.4.0","1.1.0","9.0.0"],"plugins":[{"type":"a"}]})", "f");
  ASSERT_TRUE(list) << list.error().message;
  EXPECT_EQ(list->version, "1.1.0");
  EXPECT_TRUE(list->gc);
}

TEST(CniConfig, WhatIsWrongIsNamed) {
  EXPECT_EQ(refusal(R"({"name":"x","cniVersion":"2.0.0","plugins":[{"type":"a"}]})"),
            R"(/etc/cni/net.d/10-x.conflist: cniVersion "2.0.0" is not supported; 0.1.0 to 1.1.0 are)");
  EXPECT_EQ(refusal(R"({"name":"x","plugins":[{"type":"a"},{}]})"),
            "/etc/cni/net.d/10-x.conflist: plugins[1].type: the plugin's name is missing");
  EXPECT_EQ(refusal(R"({"name":"x","plugins":[]})"), "/etc/cni/net.d/10-x.conflist: plugins must be a list of one or more");
  EXPECT_EQ(refusal(R"({"name":"x","plugins":[{"type":"../sh"}]})"),
            R"(/etc/cni/net.d/10-x.conflist: plugins[0].type must be a file's name, not the path "../sh")");
  EXPECT_TRUE(refusal(R"({"name":"-x","plugins":[{"type":"a"}]})").contains("name must be letters"));
  EXPECT_TRUE(refusal("[]").contains("must be a JSON object"));
  EXPECT_TRUE(refusal("{").contains("line 1"));
}

// --- results -------------------------------------------------------------------------------------------------------------

TEST(CniResult, OnlyAddressesOfThePodsInterfaceCount) {
  auto outcome = parse_outcome(
      R"({"cniVersion":"1.0.0","interfaces":[{"name":"veth1","mac":"aa:aa:aa:aa:aa:aa"},{"name":"eth0","mac":"bb:bb:bb:bb:bb:bb","sandbox":"/n"}],
          "ips":[{"address":"10.1.0.1/32","interface":0},{"address":"10.1.0.7/24","gateway":"10.1.0.1","interface":1},{"address":"fd00::7/64"}]})",
      "eth0");
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_EQ(outcome->ips, (std::vector<std::string>{"10.1.0.7", "fd00::7"}));
  EXPECT_EQ(outcome->gateway, "10.1.0.1");
  EXPECT_EQ(outcome->mac, "bb:bb:bb:bb:bb:bb");
}

TEST(CniResult, OldFormsAreRead) {
  auto outcome = parse_outcome(R"({"cniVersion":"0.2.0","ip4":{"ip":"10.1.0.7/24","gateway":"10.1.0.1"}})", "eth0");
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_EQ(outcome->ips, std::vector<std::string>{"10.1.0.7"});
}

TEST(CniResult, WithoutAnAddressItIsNone) {
  EXPECT_FALSE(parse_outcome(R"({"cniVersion":"1.0.0","ips":[]})", "eth0"));
  EXPECT_FALSE(parse_outcome("", "eth0"));
}

// --- plugins that are scripts --------------------------------------------------------------------------------------------

class CniChainTest : public NetTest {
 protected:
  void SetUp() override {
    NetTest::SetUp();
    if (IsSkipped()) return;
    ASSERT_TRUE(os::make_dirs(dir_ + "/bin"));
  }
  void TearDown() override {
    (void)os::remove_all(dir_ + "/bin");
    (void)os::remove_file(dir_ + "/log");
    NetTest::TearDown();
  }
  /// A plugin that notes how it was called, then does what `script` says.
  void plugin(const std::string& name, const std::string& script) {
    const std::string text = "#!/bin/sh\nread -r input\necho \"" + name + " $CNI_COMMAND $input\" >> " + dir_ + "/log\n" + script + "\n";
    ASSERT_TRUE(os::write_file(dir_ + "/bin/" + name, text, O_CREAT | O_TRUNC, 0755));
    ASSERT_TRUE(os::change_mode(dir_ + "/bin/" + name, 0755));
  }
  Chain chain(const std::string& version, const std::string& plugins) const {
    return {*parse_list(R"({"cniVersion":")" + version + R"(","name":"net","plugins":[)" + plugins + "]}", "f"),
            {"/nowhere", dir_ + "/bin"}};
  }
  std::string log() const { return os::read_file(dir_ + "/log").value_or(""); }
  const Attachment pod_{.container_id = "u1",
                        .netns_path = "/proc/self/ns/net",
                        .args = {{"IgnoreUnknown", "1"}, {"K8S_POD_NAME", "web"}},
                        .host_ports = {{Protocol::tcp, 8080, 80, "127.0.0.1"}}};
};

TEST_F(CniChainTest, EachIsGivenWhatTheOneBeforeAnswered) {
  plugin("first", R"(echo '{"cniVersion":"1.0.0","ips":[{"address":"10.9.0.2/24"}]}')");
  plugin("second", R"(echo '{"cniVersion":"1.0.0","ips":[{"address":"10.9.0.3/24"}]}'; echo "$CNI_ARGS $CNI_IFNAME $CNI_CONTAINERID" >> )" +
                       dir_ + "/log");
  const Chain both = chain("1.0.0", R"({"type":"first"},{"type":"second","capabilities":{"portMappings":true}})");
  auto outcome = both.add(pod_);
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_EQ(outcome->ips, std::vector<std::string>{"10.9.0.3"});
  EXPECT_EQ(
      log(),
      R"(first ADD {"type":"first","name":"net","cniVersion":"1.0.0"})"
      "\n"
      R"(second ADD {"type":"second","capabilities":{"portMappings":true},"name":"net","cniVersion":"1.0.0","runtimeConfig":{"portMappings":[{"hostPort":8080,"containerPort":80,"protocol":"tcp","hostIP":"127.0.0.1"}]},"prevResult":{"cniVersion":"1.0.0","ips":[{"address":"10.9.0.2/24"}]}})"
      "\nIgnoreUnknown=1;K8S_POD_NAME=web eth0 u1\n");
}

TEST_F(CniChainTest, WhenOneFailsAllTakeAwayFromTheLastToTheFirst) {
  plugin("first", R"([ "$CNI_COMMAND" = DEL ] || echo '{"ips":[{"address":"10.9.0.2/24"}]}')");
  plugin("second", R"([ "$CNI_COMMAND" = DEL ] || { echo '{"code":11,"msg":"no room","details":"come back"}'; exit 1; })");
  auto outcome = chain("0.3.1", R"({"type":"first"},{"type":"second"})").add(pod_);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, Code::unavailable);
  EXPECT_EQ(outcome.error().message, "CNI network net, plugin second, ADD: no room: come back");
  std::string commands;
  for (const std::string& line : {"first ADD", "second ADD", "second DEL", "first DEL"})
    commands += log().contains(line) ? line + "\n" : "";
  EXPECT_EQ(commands, "first ADD\nsecond ADD\nsecond DEL\nfirst DEL\n");
  EXPECT_LT(log().find("second DEL"), log().find("first DEL"));
}

TEST_F(CniChainTest, OneThatSaysNothingIsNamedWithItsEnd) {
  plugin("mute", "exit 7");
  plugin("loud", "echo broken pipe dream >&2; exit 1");
  plugin("dead", "kill -9 $$");
  const auto complaint = [&](const std::string& name) { return chain("1.0.0", R"({"type":")" + name + "\"}").add(pod_).error().message; };
  EXPECT_EQ(complaint("mute"), "CNI network net, plugin mute, ADD: it ended with exit code 7 and said nothing");
  EXPECT_EQ(complaint("loud"), "CNI network net, plugin loud, ADD: broken pipe dream");
  EXPECT_EQ(complaint("dead"), "CNI network net, plugin dead, ADD: it was killed by signal 9");
  EXPECT_EQ(complaint("missing"),
            "CNI network net, plugin missing, ADD: there is no such program in /nowhere, " + dir_ + "/bin (--cni-bin-dir)");
}

TEST_F(CniChainTest, RubbishIsNoResult) {
  plugin("rubbish", "echo hello");
  auto outcome = chain("1.0.0", R"({"type":"rubbish"},{"type":"rubbish"})").add(pod_);
  ASSERT_FALSE(outcome);
  EXPECT_TRUE(outcome.error().message.contains("the result of an earlier plugin")) << outcome.error().message;
}

TEST_F(CniChainTest, StatusAndGarbageCollectionSinceOneOne) {
  plugin("p", "");
  const Chain late = chain("1.1.0", R"({"type":"p"})"), early = chain("1.0.0", R"({"type":"p"})");
  EXPECT_TRUE(early.status());
  EXPECT_TRUE(early.collect_garbage({"a"}));
  EXPECT_EQ(log(), "");
  EXPECT_TRUE(late.status());
  EXPECT_TRUE(late.collect_garbage({"a"}));
  EXPECT_TRUE(log().contains("p STATUS"));
  EXPECT_TRUE(log().contains(
      R"(p GC {"type":"p","name":"net","cniVersion":"1.1.0","cni.dev/valid-attachments":[{"containerID":"a","ifname":"eth0"}]})"));
  EXPECT_FALSE(chain("1.0.0", R"({"type":"missing"})").status());
}

}  // namespace
}  // namespace estiba::network::cni
