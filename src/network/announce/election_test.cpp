#include "network/announce/election.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

namespace estiba::network::announce {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const Address vip = *Address::parse("192.0.2.9");

TEST(AnnounceRank, IsAnOrderThatAllNodesSee) {
  const std::vector<std::string> nodes{"a", "b", "c", "d"};
  std::set<size_t> ranks;
  for (const std::string& node : nodes) ranks.insert(*rank_of(node, nodes, vip));
  EXPECT_EQ(ranks, (std::set<size_t>{0, 1, 2, 3}));
  EXPECT_EQ(rank_of("a", {"d", "c", "b", "a"}, vip), rank_of("a", nodes, vip));
  EXPECT_EQ(rank_of("stranger", nodes, vip), std::nullopt);
  EXPECT_EQ(rank_of("a", {}, vip), std::nullopt);
}

TEST(AnnounceRank, SpreadsAddressesAndMovesFew) {
  const std::vector<std::string> nodes{"node-1", "node-2", "node-3"}, fewer{"node-1", "node-3"};
  std::map<std::string, int> firsts;
  for (int i = 0; i < 300; ++i) {
    const Address address = Address::from_number(0xc0000200 + uint32_t(i));
    for (const std::string& node : nodes) {
      if (rank_of(node, nodes, address) != 0u) continue;
      ++firsts[node];
      if (node != "node-2") EXPECT_EQ(rank_of(node, fewer, address), 0u) << "a node that goes moves its own alone";
    }
  }
  for (const auto& [node, count] : firsts) EXPECT_GT(count, 60) << node;
}

/// Nodes on one link, with a clock of their own.
struct Link {
  struct Node {
    Mac mac;
    Election election;
    bool alive = true, hears = true;
  };
  std::map<std::string, std::unique_ptr<Node>> nodes;
  Instant now{};
  size_t questions = 0;

  Node& add(const std::string& name, uint8_t mac, std::optional<size_t> rank) {
    auto node = std::make_unique<Node>(Mac{2, 0, 0, 0, 0, mac}, Election(Mac{2, 0, 0, 0, 0, mac}));
    node->election.set_rank(rank, now);
    return *(nodes[name] = std::move(node));
  }
  void tell(const Node& from, bool claimed, Node* only = nullptr) {
    for (auto& [name, node] : nodes)
      if (node->alive && node->hears && node.get() != &from && (!only || only == node.get())) node->election.heard(claimed, from.mac, now);
  }
  void step() {
    for (auto& [name, node] : nodes) {
      if (!node->alive) continue;
      switch (node->election.act(now)) {
        case Election::Act::nothing: break;
        case Election::Act::claim: tell(*node, true); break;
        case Election::Act::ask:
          ++questions;
          for (auto& [other, one] : nodes)
            if (one->alive && one->hears && one.get() != node.get() && one->election.announcing()) tell(*one, false, node.get());
      }
    }
  }
  void run(Duration time) {
    for (const Instant end = now + time; now < end; now += milliseconds(50)) step();
  }
  std::string announcing() const {
    std::string all;
    for (const auto& [name, node] : nodes)
      if (node->alive && node->election.announcing()) all += (all.empty() ? "" : " ") + name;
    return all;
  }
};

TEST(AnnounceElection, TheFirstAnnouncesAtOnceAndTheNextTakesOver) {
  Link link;
  link.add("a", 1, 0);
  link.add("b", 2, 1);
  link.add("c", 3, 2);
  link.step();
  EXPECT_EQ(link.announcing(), "a");
  link.run(seconds(60));
  EXPECT_EQ(link.announcing(), "a");
  EXPECT_FALSE(link.nodes["a"]->election.next()) << "who has said it five times is silent";
  EXPECT_LT(link.questions, 100u) << "the second asks each second, the third every two";
  link.nodes["a"]->alive = false;
  link.run(milliseconds(4200));
  EXPECT_EQ(link.announcing(), "b");
  link.nodes["b"]->alive = false;
  link.run(milliseconds(8400));
  EXPECT_EQ(link.announcing(), "c");
  // The first comes back, as a new program.
  link.add("a", 1, 0);
  link.run(milliseconds(100));
  EXPECT_EQ(link.announcing(), "a");
}

TEST(AnnounceElection, WhoMayNoMoreStopsAndTheNewFirstClaims) {
  Link link;
  link.add("a", 1, 0);
  link.add("b", 2, 1);
  link.run(seconds(10));
  link.nodes["b"]->election.set_rank(0, link.now);  // the watch of b is the quicker one
  link.run(milliseconds(200));
  EXPECT_EQ(link.announcing(), "a b") << "both, for as long as news travel";
  link.nodes["a"]->election.set_rank({}, link.now);
  link.run(milliseconds(50));
  EXPECT_EQ(link.announcing(), "b");
  // a may again, but is not the first: nothing changes.
  link.nodes["a"]->election.set_rank(1, link.now);
  link.run(seconds(20));
  EXPECT_EQ(link.announcing(), "b");
  // It becomes the first: b goes on until it is told.
  link.nodes["b"]->election.set_rank(1, link.now);
  EXPECT_EQ(link.announcing(), "b");
  link.nodes["a"]->election.set_rank(0, link.now);
  link.run(milliseconds(50));
  EXPECT_EQ(link.announcing(), "a");
}

TEST(AnnounceElection, OfTwoThatBelieveToBeFirstOneStays) {
  Link link;
  link.add("a", 9, 0);
  link.run(seconds(10));
  link.add("b", 2, 0);  // it has not been told that a is ready again, say
  link.run(seconds(8));
  EXPECT_EQ(link.announcing(), "b") << "the lesser Ethernet address";
  link.run(seconds(60));
  EXPECT_EQ(link.announcing(), "b");
  link.nodes["b"]->alive = false;
  link.run(seconds(5));
  EXPECT_EQ(link.announcing(), "a");
}

TEST(AnnounceElection, WithASecondThatHearsNothingOneStaysInTheEnd) {
  for (const bool lesser : {false, true}) {
    Link link;
    link.add("a", lesser ? 1 : 9, 0);
    link.add("b", 2, 1);
    link.run(seconds(10));
    link.nodes["b"]->hears = false;
    link.run(seconds(9));
    EXPECT_EQ(link.announcing(), lesser ? "a b" : "b") << "who insists without hearing is yielded to by the greater address";
    link.nodes["b"]->hears = true;
    link.run(seconds(8));
    EXPECT_EQ(link.announcing(), lesser ? "a" : "b");
  }
}

TEST(AnnounceElection, PartsOfALinkThatFindEachOtherAgreeAgain) {
  Link link;
  link.add("a", 9, 0);
  link.add("b", 2, 1);
  link.run(seconds(10));
  for (auto& [name, node] : link.nodes) node->hears = false;
  link.run(seconds(20));
  EXPECT_EQ(link.announcing(), "a b");
  for (auto& [name, node] : link.nodes) node->hears = true;
  link.run(seconds(7));
  EXPECT_EQ(link.announcing(), "a");
}

}  // namespace
}  // namespace estiba::network::announce
