// Links, addresses, routes and nf_tables in a network namespace of the test's own.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <sys/socket.h>

#include "os/nft.h"
#include "os/rtnl.h"

namespace estiba::os {

class NetlinkTest : public testing::Test {
 protected:
  void SetUp() override {
    before_ = Fd(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    if (::unshare(CLONE_NEWNET) < 0) GTEST_SKIP() << "needs the right to make network namespaces";
    route_ = *netlink::Socket::open(NETLINK_ROUTE);
    filter_ = *netlink::Socket::open(NETLINK_NETFILTER);
  }
  std::string run(netlink::Batch& batch) {
    auto done = route_.run(batch);
    batch.clear();
    return done ? "" : done.error().message;
  }

  void TearDown() override { setns(before_.get(), CLONE_NEWNET); }

  Fd before_;
  netlink::Socket route_, filter_;
};

TEST_F(NetlinkTest, LinksAreMadeChangedListedAndDeletedInOneSend) {
  rtnl::Batch batch;
  rtnl::put_bridge(batch, "br0", std::string("\x0a\0\0\0\0\1", 6), 1400);
  ASSERT_EQ(run(batch), "");
  auto bridge = rtnl::link(route_, "br0");
  ASSERT_TRUE(bridge);
  EXPECT_TRUE(bridge->kind == "bridge" && bridge->mtu == 1400 && bridge->up && bridge->mac == std::string("\x0a\0\0\0\0\1", 6));

  rtnl::put_bridge(batch, "br0", std::string("\x0a\0\0\0\0\1", 6), 1400);
  rtnl::put_veth(batch, {.name = "v0", .peer_name = "v1", .mtu = 1300, .master = bridge->index, .hairpin = true});
  EXPECT_EQ(run(batch), "") << "a bridge that exists is no error";
  int v1 = rtnl::link(route_, "v1")->index;
  EXPECT_EQ(rtnl::link(route_, "v0")->master, bridge->index);
  rtnl::put_link(batch, v1, {.up = true, .mtu = 1200, .name = "renamed", .mac = std::string("\x0a\0\0\0\0\2", 6)});
  rtnl::put_link(batch, bridge->index, {.up = false});
  EXPECT_EQ(run(batch), "");
  auto renamed = rtnl::link(route_, "renamed");
  ASSERT_TRUE(renamed);
  EXPECT_TRUE(renamed->mtu == 1200 && renamed->up);
  EXPECT_FALSE(rtnl::link(route_, "br0")->up);

  rtnl::put_delete_links(batch, {"v0", "br0", "never-was"});
  EXPECT_EQ(run(batch), "");
  EXPECT_EQ(rtnl::links(route_)->size(), 1u) << "lo";
  EXPECT_EQ(rtnl::link(route_, "br0").error().code, Code::not_found);
}

TEST_F(NetlinkTest, AddressesRoutesAndNeighbours) {
  rtnl::Batch batch;
  rtnl::put_veth(batch, {.name = "v0", .peer_name = "v1"});
  ASSERT_EQ(run(batch), "");
  int index = rtnl::link(route_, "v0")->index;
  std::string address("\x0a\0\0\1", 4), six("\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16);
  rtnl::put_address(batch, index, address, 24);
  rtnl::put_address(batch, index, six, 64);
  rtnl::put_route(batch, {.gateway = std::string("\x0a\0\0\2", 4), .index = index});
  rtnl::put_route(batch, {.destination = std::string("\xc0\0\2\0", 4), .prefix_length = 24, .source = address, .index = index, .scope = RT_SCOPE_LINK});
  rtnl::put_neighbour(batch, index, std::string("\x0a\0\0\2", 4), std::string("\x0a\0\0\0\0\2", 6));
  ASSERT_EQ(run(batch), "");
  auto mine = *rtnl::addresses(route_, AF_UNSPEC);
  EXPECT_EQ(std::ranges::count_if(mine, [&](const auto& one) { return one.address == address || one.address == six; }), 2);
  auto routes = *rtnl::routes(route_, AF_INET);
  EXPECT_TRUE(std::ranges::any_of(routes, [&](const auto& one) { return one.prefix_length == 0 && one.gateway == std::string("\x0a\0\0\2", 4); }));
  EXPECT_TRUE(std::ranges::any_of(routes, [&](const auto& one) { return one.prefix_length == 24 && one.source == address; }));
  rtnl::put_delete_route(batch, {.index = index});
  rtnl::put_delete_address(batch, index, address, 24);
  EXPECT_EQ(run(batch), "");
  EXPECT_TRUE(rtnl::routes(route_, AF_INET)->empty());
}

TEST_F(NetlinkTest, ErrorsNameTheRequestAndTheOthersAreDone) {
  rtnl::Batch batch;
  rtnl::put_link(batch, 4711, {.up = true});
  rtnl::put_link(batch, 1, {.up = true});
  EXPECT_EQ(run(batch), "change link 4711: No such device");
  EXPECT_TRUE(rtnl::link(route_, "lo")->up);
  rtnl::put_veth(batch, {.name = "a-name-that-is-too-long", .peer_name = "v1"});
  EXPECT_TRUE(run(batch).starts_with("make the veth pair a-name-that-is-too-long: ")) << "and the kernel's own words";
}

TEST_F(NetlinkTest, SetsMapsAndIntervalsOfNftables) {
  using namespace nft;
  const Set plain{.name = "plain", .key_type = type_port, .key_size = 2}, ranges{.name = "ranges", .key_type = type_ipv4, .key_size = 4, .intervals = true};
  const Set verdicts{.name = "verdicts", .key_type = type_port, .key_size = 2, .verdicts = true};
  const Set values{.name = "values", .key_type = type_ipv4, .key_size = 4, .data_type = type_port, .data_size = 2};
  Transaction tx(Family::inet, "t");
  tx.add_table();
  tx.add_chain("other");
  tx.add_base_chain("in", "filter", Hook::input, 0);
  for (const Set* set : {&plain, &ranges, &verdicts, &values}) tx.add_set(*set);
  tx.add_elements(ranges, {{.key = std::string("\x0a\0\0\0", 4)}, {.key = std::string("\x0b\0\0\0", 4), .interval_end = true}});
  tx.add_elements(verdicts, {{.key = std::string("\0\x50", 2), .verdict = {Verdict::Kind::go_to, "other"}}});
  tx.add_elements(values, {{.key = std::string("\x0a\0\0\1", 4), .data = std::string("\x1f\x90", 2)}});
  std::vector<Element> many;
  for (int i = 0; i < 20000; ++i) many.push_back({.key = {char(i >> 8), char(i)}});
  tx.add_elements(plain, many);
  Rule(tx, "in").load_ip_source(0).in_set(ranges, 0).load_port_destination(0).verdict_map(verdicts, 0);
  auto done = tx.commit(filter_);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(list_elements(filter_, Family::inet, "t", "plain")->size(), 20000u) << "more than one message holds";
  auto verdict = *list_elements(filter_, Family::inet, "t", "verdicts");
  ASSERT_EQ(verdict.size(), 1u);
  EXPECT_EQ(verdict[0].verdict.chain, "other");
  EXPECT_EQ((*list_elements(filter_, Family::inet, "t", "values"))[0].data.substr(0, 2), std::string("\x1f\x90", 2));

  Transaction bad(Family::inet, "t");
  bad.delete_elements(verdicts, {{.key = std::string("\0\x50", 2)}});
  bad.delete_chain("never-was");
  auto refused = bad.commit(filter_);
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().message.starts_with("nftables: delete the chain never-was: No such file or directory")) << refused.error().message;
  EXPECT_EQ(list_elements(filter_, Family::inet, "t", "verdicts")->size(), 1u) << "nothing of it is done";

  Transaction end(Family::inet, "t");
  end.delete_table();
  ASSERT_TRUE(end.commit(filter_));
  EXPECT_FALSE(*table_exists(filter_, Family::inet, "t"));
}

}  // namespace estiba::os
