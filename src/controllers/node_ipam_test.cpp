#include "controllers/node_ranges.h"
#include "controllers/testing/cluster.h"
#include "model/types/core_v1.h"

namespace estiba::controllers {
namespace {

using namespace std::chrono_literals;
using model::core_v1::Node;

TEST(NodeRanges, GoInOrderAndComeBack) {
  auto ranges = NodeRanges::make(*Prefix::parse("10.42.0.0/16"), 24);
  ASSERT_TRUE(ranges);
  EXPECT_EQ(*ranges->free(), "10.42.0.0/24");
  ranges->take("10.42.0.0/24");
  ranges->take("10.42.2.0/24");
  ranges->take("172.16.0.0/12");
  ranges->take("nothing");
  EXPECT_EQ(*ranges->free(), "10.42.1.0/24");
  ranges->take("10.42.1.128/25");
  EXPECT_EQ(*ranges->free(), "10.42.3.0/24") << "half of a part is in use";
  ranges->take("10.42.0.0/17");
  EXPECT_EQ(*ranges->free(), "10.42.128.0/24");
}

TEST(NodeRanges, APartIsFreeWhenAllWhoHadItHaveGivenItBack) {
  auto ranges = NodeRanges::make(*Prefix::parse("10.42.0.0/16"), 24);
  for (const char* taken : {"10.42.0.0/24", "10.42.1.0/24", "10.42.2.0/24", "10.42.1.0/25"}) ranges->take(taken);
  EXPECT_EQ(*ranges->free(), "10.42.3.0/24");
  ranges->give_back("10.42.1.0/24");
  EXPECT_EQ(*ranges->free(), "10.42.3.0/24") << "somebody else has half of it";
  ranges->give_back("10.42.1.0/25");
  EXPECT_EQ(*ranges->free(), "10.42.1.0/24");
  ranges->take("10.42.1.0/24");
  EXPECT_EQ(*ranges->free(), "10.42.3.0/24");
}

TEST(NodeRanges, EndSomewhere) {
  auto ranges = NodeRanges::make(*Prefix::parse("10.42.7.0/24"), 24);
  EXPECT_EQ(*ranges->free(), "10.42.7.0/24");
  ranges->take("10.42.7.0/24");
  EXPECT_EQ(ranges->free().error().code, Code::exhausted);
  EXPECT_EQ(*NodeRanges::make(*Prefix::parse("10.42.7.0/26"), 24)->free(), "10.42.7.0/26");
  EXPECT_FALSE(NodeRanges::make(*Prefix::parse("10.42.0.0/16"), 31));
}

TEST(NodeRanges, OfIpv6) {
  auto ranges = NodeRanges::make(*Prefix::parse("fd00:42::/56"), 64);
  ASSERT_TRUE(ranges);
  EXPECT_EQ(*ranges->free(), "fd00:42::/64");
  ranges->take("fd00:42::/63");
  ranges->take("10.42.0.0/24");
  ranges->take("fd00:42:0:1:8000::/65");
  EXPECT_EQ(*ranges->free(), "fd00:42:0:2::/64");
  ranges->take("fd00::/16");
  EXPECT_EQ(ranges->free().error().code, Code::exhausted);
  EXPECT_FALSE(NodeRanges::make(*Prefix::parse("fd00::/32"), 64)) << "more parts than can be counted";
  EXPECT_EQ(*NodeRanges::make(*Prefix::parse("::/0"), 16)->free(), "::/16");
}

struct NodeIpamTest : ControllerTest {
  NodeIpamTest() { options.pod_cidr = "10.42.0.0/23"; }
  void add(const std::string& name, const std::string& spec = "{}") {
    server.add(client::nodes, "", R"({"apiVersion":"v1","kind":"Node","metadata":{"name":")" + name + R"("},"spec":)" + spec + "}");
    executor.run();
  }
  std::string range(const std::string& name) { return server.find(client::nodes, "", name).as<Node>().spec.podCIDR; }
};

TEST_F(NodeIpamTest, EachNodeGetsItsOwnAndKeepsIt) {
  add("old", R"({"podCIDR":"10.42.0.0/24","podCIDRs":["10.42.0.0/24"]})");
  start({make_node_ipam});
  add("a");
  EXPECT_EQ(range("old"), "10.42.0.0/24");
  EXPECT_EQ(range("a"), "10.42.1.0/24");
  add("b");
  EXPECT_EQ(range("b"), "") << "there is no third part";
  EXPECT_EQ(server.all(client::events).size(), 1u);
  executor.advance(1h);
  EXPECT_EQ(server.calls["patch events"] + server.calls["create events"], 1) << "asking again brings none";
  server.erase(client::nodes, "", "a");
  executor.advance(10s);
  EXPECT_EQ(range("b"), "10.42.1.0/24");
}

TEST_F(NodeIpamTest, OfTwoRangesANodeGetsAPartOfEach) {
  options.pod_cidr = "fd00:42::/63,10.42.0.0/16";
  add("old", R"({"podCIDR":"10.42.0.0/24","podCIDRs":["10.42.0.0/24"]})");
  start({make_node_ipam});
  add("a");
  const auto& spec = server.find(client::nodes, "", "a").as<Node>().spec;
  EXPECT_EQ(spec.podCIDR, "fd00:42::/64");
  EXPECT_EQ(spec.podCIDRs, (std::vector<std::string>{"fd00:42::/64", "10.42.1.0/24"}));
  EXPECT_EQ(range("old"), "10.42.0.0/24") << "what a node has it keeps";
  add("b");
  add("c");
  EXPECT_EQ(range("b"), "fd00:42:0:1::/64");
  EXPECT_EQ(range("c"), "") << "none of one family is none at all";
}

TEST_F(NodeIpamTest, NodesThatComeAtOnceGetDifferentParts) {
  server.answer_late = true;
  server.add(client::nodes, "", R"({"apiVersion":"v1","kind":"Node","metadata":{"name":"a"},"spec":{}})");
  server.add(client::nodes, "", R"({"apiVersion":"v1","kind":"Node","metadata":{"name":"b"},"spec":{}})");
  start({make_node_ipam});
  EXPECT_NE(range("a"), "");
  EXPECT_NE(range("b"), "");
  EXPECT_NE(range("a"), range("b"));
}

}  // namespace
}  // namespace estiba::controllers
