#include "node/placement/hints.h"

#include <gtest/gtest.h>

namespace estiba::node {
namespace {

using enum TopologyPolicy;
const NumaNodes both{0, 1};

// "0 preferred", "0-1", "any preferred"
std::string text(const Agreement& made) {
  return std::string(made.admit ? "" : "refused ") + (made.hint.nodes ? made.hint.nodes->text() : "any") +
         (made.hint.preferred ? " preferred" : "");
}
std::vector<Hint> on(std::initializer_list<Hint> hints) { return hints; }

TEST(Hints, AgreeOnWhatAllPrefer) {
  const Hints hints{{"cpu", on({{{{0}}, true}, {{{1}}, true}, {{{0, 1}}, false}})}, {"gpu", on({{{{1}}, true}, {{{0, 1}}, false}})}};
  for (const auto policy : {best_effort, restricted, single_numa_node}) EXPECT_EQ(text(agree(policy, both, hints)), "1 preferred");
}

TEST(Hints, ThatDoNotMeetAreRefusedByStrictPolicies) {
  const Hints hints{{"cpu", on({{{{0}}, true}, {{{0, 1}}, false}})}, {"gpu", on({{{{1}}, true}, {{{0, 1}}, false}})}};
  EXPECT_EQ(text(agree(best_effort, both, hints)), "0");
  EXPECT_EQ(text(agree(restricted, both, hints)), "refused 0");
  EXPECT_EQ(text(agree(single_numa_node, both, hints)), "refused any");
}

TEST(Hints, OfTwoNodesMayBePreferredUnlessOneIsWanted) {
  const Hints hints{{"cpu", on({{{{0, 1}}, true}})}, {"gpu", std::nullopt}};
  EXPECT_EQ(text(agree(restricted, both, hints)), "0-1 preferred");
  EXPECT_EQ(text(agree(single_numa_node, both, hints)), "refused any");
}

TEST(Hints, ThatSayNothingAreInNobodysWay) {
  EXPECT_EQ(text(agree(restricted, both, {})), "0-1 preferred");
  EXPECT_EQ(text(agree(single_numa_node, both, {{"gpu", std::nullopt}})), "any preferred");
  EXPECT_EQ(text(agree(restricted, both, {{"gpu", on({})}})), "refused 0-1") << "it cannot be had at all";
  EXPECT_EQ(text(agree(best_effort, both, {{"gpu", on({})}})), "0-1");
}

TEST(Hints, NotPreferredComeNearToTheGreediest) {
  // cpu needs two of four nodes; what is left of any two is not preferred.
  const NumaNodes four{0, 1, 2, 3};
  const Hints hints{{"cpu", on({{{{0, 1}}, false}, {{{0, 1, 2}}, false}, {{{0, 1, 2, 3}}, false}})},
                    {"nic", on({{{{3}}, true}, {four, false}})}};
  EXPECT_EQ(text(agree(best_effort, four, hints)), "0-1");
}

TEST(Hints, CountWhatIsThere) {
  // Two on each node, of which one is free on the first.
  const std::map<int, size_t> free{{0, 1}, {1, 2}};
  const auto sum = [](const NumaNodes& nodes, const std::function<size_t(int)>& of) {
    size_t out = 0;
    for (const int node : nodes) out += of(node);
    return out;
  };
  const auto hints = [&](size_t wanted) {
    return hints_by_count(
        both, wanted, [&](const NumaNodes& nodes) { return sum(nodes, [&](int node) { return free.at(node); }); },
        [&](const NumaNodes& nodes) { return sum(nodes, [](int) { return size_t(2); }); });
  };
  EXPECT_EQ(hints(1), on({{{{0}}, true}, {{{1}}, true}, {both, false}}));
  EXPECT_EQ(hints(2), on({{{{1}}, true}, {both, false}}));
  EXPECT_EQ(hints(3), on({{both, true}}));
  EXPECT_EQ(hints(4), on({}));
}

}  // namespace
}  // namespace estiba::node
