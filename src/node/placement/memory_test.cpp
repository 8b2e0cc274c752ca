#include "node/placement/memory.h"

#include <gtest/gtest.h>

#include "client/json_writer.h"
#include "node/placement/test_machine.h"

namespace estiba::node {
namespace {

constexpr uint64_t mib = 1 << 20, gib = 1 << 30;

class MemoryTest : public testing::Test {
 protected:
  // Two nodes of 4 GiB, of which 8 MiB are huge pages.
  MemoryTest() : topology_(read_topology(TestMachine(2, 1, 1, 1).sys()).value_or(Topology{})) {}

  Memory make(uint64_t reserved = 0) {
    MemoryOptions options{.pinned = true, .reserved = {}, .reserved_bytes = reserved};
    if (reserved) options.reserved[0]["memory"] = reserved;
    auto made = Memory::make(topology_, options);
    EXPECT_TRUE(made) << made.error().message;
    return std::move(*made);
  }
  // "0" or "0-1", or why not.
  static std::string give(Memory& memory, const std::string& pod, const std::string& container, MemoryAmounts amounts,
                          const std::optional<NumaNodes>& nodes = {}, bool init = false) {
    auto given = memory.give(pod, container, amounts, nodes, init);
    return given ? memory.nodes_of(pod, container).text() : given.error().message;
  }
  static std::string print(const std::vector<Hint>& hints) {
    std::string out;
    for (const Hint& hint : hints) out += (out.empty() ? "" : " ") + hint.nodes->text() + (hint.preferred ? "!" : "");
    return out;
  }
  static std::string hints(const Memory& memory, const MemoryAmounts& amounts) {
    const Hints all = memory.hints("p", amounts);
    return print(*all.begin()->second);
  }

  Topology topology_;
};

TEST_F(MemoryTest, LiesOnAsFewNodesAsCanHoldIt) {
  Memory memory = make(gib);
  EXPECT_EQ(memory.allocatable().at(0).at("memory"), 3 * gib - 8 * mib);
  EXPECT_EQ(memory.allocatable().at(1).at("hugepages-2Mi"), 8 * mib);
  EXPECT_EQ(hints(memory, {{"memory", gib}}), "0! 1! 0-1");
  EXPECT_EQ(hints(memory, {{"memory", 3 * gib}}), "1! 0-1");
  EXPECT_EQ(hints(memory, {{"memory", 5 * gib}}), "0-1!");
  EXPECT_EQ(hints(memory, {{"memory", 8 * gib}}), "");
  EXPECT_EQ(hints(memory, {{"hugepages-2Mi", 12 * mib}, {"memory", gib}}), "0-1!");
  EXPECT_EQ(give(memory, "a", "c", {{"memory", 2 * gib}}), "0");
  EXPECT_EQ(hints(memory, {{"memory", 2 * gib}}), "1!") << "0 would hold it, were it free, and both are no group";
  EXPECT_EQ(give(memory, "b", "c", {{"memory", 2 * gib}}), "1");
  EXPECT_EQ(give(memory, "c", "c", {{"memory", 3 * gib}}), "[memorymanager] no NUMA nodes have the memory that is asked for");
  EXPECT_TRUE(memory.release("a"));
  EXPECT_EQ(give(memory, "c", "c", {{"memory", gib}}, NumaNodes{1}), "1");
}

TEST_F(MemoryTest, NodesGivenTogetherStayTogether) {
  Memory memory = make();
  EXPECT_EQ(give(memory, "a", "c", {{"memory", 5 * gib}}), "0-1");
  EXPECT_EQ(memory.given("a", "c")->at("memory").sum(), 5 * gib);
  EXPECT_EQ(hints(memory, {{"memory", gib}}), "0-1") << "not preferred: one node would do";
  EXPECT_EQ(give(memory, "b", "c", {{"memory", gib}}, NumaNodes{1}), "0-1") << "what it has to be is reached from there";
}

TEST_F(MemoryTest, InitContainersHandTheirsOn) {
  Memory memory = make();
  EXPECT_EQ(give(memory, "a", "i", {{"memory", 3 * gib}}, {}, true), "0");
  EXPECT_EQ(give(memory, "a", "c", {{"memory", 2 * gib}}, NumaNodes{0}), "0");
  EXPECT_EQ(give(memory, "a", "d", {{"memory", gib}}, NumaNodes{0}), "0");
  EXPECT_EQ(give(memory, "b", "c", {{"memory", gib}}, NumaNodes{0}),
            "[memorymanager] no NUMA nodes have together with 0 the memory that is asked for");
  EXPECT_EQ(give(memory, "b", "c", {{"memory", 900 * mib}}, NumaNodes{0}), "0");
}

TEST_F(MemoryTest, IsOfGuaranteedPodsAlone) {
  const Memory memory = make();
  model::core_v1::Pod pod;
  auto& container = pod.spec.containers.emplace_back();
  container.resources.ensure().limits = {{"cpu", "1"}, {"memory", "1Gi"}, {"hugepages-2Mi", "4Mi"}};
  EXPECT_EQ(memory.wanted(pod, container), (MemoryAmounts{{"memory", gib}, {"hugepages-2Mi", 4 * mib}}));
  container.resources->requests = {{"memory", "1Mi"}};
  EXPECT_TRUE(memory.wanted(pod, container).empty());
}

TEST_F(MemoryTest, IsSavedAndLoaded) {
  Memory memory = make();
  give(memory, "a", "c", {{"memory", 5 * gib}});
  client::JsonWriter json;
  memory.save(json);
  const auto saved = json::Document::parse(json.take());
  ASSERT_TRUE(saved);
  Memory again = make();
  ASSERT_TRUE(again.load(saved->root()));
  EXPECT_EQ(again.given("a", "c")->at("memory").bytes, memory.given("a", "c")->at("memory").bytes);
  Memory other = make(gib);
  EXPECT_TRUE(other.load(saved->root()).error().message.starts_with("the memory that pods may use was {\"0\":")) << "less of it";
  auto none = Memory::make(topology_, {});
  EXPECT_EQ(none->load(saved->root()).error().message, "--memory-manager-policy was \"Static\" and is \"None\" now");
}

TEST_F(MemoryTest, WhatIsReservedMustFit) {
  const auto refusal = [&](std::map<int, MemoryAmounts> reserved, uint64_t bytes) {
    auto made = Memory::make(topology_, {.pinned = true, .reserved = std::move(reserved), .reserved_bytes = bytes});
    return made ? "" : made.error().message;
  };
  EXPECT_EQ(refusal({{2, {{"memory", 1}}}}, 1), "--reserved-memory: this machine has no NUMA node 2");
  EXPECT_EQ(refusal({{0, {{"hugepages-1Gi", 1}}}}, 0), "--reserved-memory: NUMA node 0 has less hugepages-1Gi than that");
  EXPECT_TRUE(refusal({{0, {{"memory", 5}}}}, 6).contains("comes to 5 bytes, but --system-reserved and --kube-reserved to 6"));
  std::map<int, MemoryAmounts> read;
  ASSERT_TRUE(read_reserved_memory("0:memory=1Gi,hugepages-2Mi=4Mi", read));
  EXPECT_EQ(read[0], (MemoryAmounts{{"memory", gib}, {"hugepages-2Mi", 4 * mib}}));
  for (const char* bad : {"memory=1Gi", "0", "x:memory=1", "0:cpu=1", "0:memory=-1", "0:memory", "0:memory=1"})
    EXPECT_FALSE(read_reserved_memory(bad, read)) << bad;
}

}  // namespace
}  // namespace estiba::node
