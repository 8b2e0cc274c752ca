#include "node/thresholds.h"

#include <gtest/gtest.h>

namespace estiba::node {
namespace {

using namespace std::chrono_literals;
using Names = std::vector<std::string_view>;

std::string refusal(std::string_view hard, std::string_view soft = "", std::string_view grace = "", std::string_view reclaim = "") {
  auto parsed = parse_thresholds(hard, soft, grace, reclaim);
  return parsed ? "" : parsed.error().message;
}

TEST(Thresholds, AreQuantitiesOrShares) {
  auto parsed = parse_thresholds("memory.available<100Mi, nodefs.available<10%,pid.available<0%", "memory.available<1Gi",
                                 "memory.available=1m30s", "nodefs.available=500Mi,imagefs.available=5%");
  ASSERT_TRUE(parsed) << parsed.error().message;
  ASSERT_EQ(parsed->size(), 3u) << "0% switches one off";
  EXPECT_EQ((*parsed)[0].value.of(1), 100 << 20);
  EXPECT_TRUE((*parsed)[0].hard());
  EXPECT_EQ((*parsed)[1].value.of(1000), 100);
  EXPECT_EQ((*parsed)[1].reclaim->of(1), 500 << 20);
  EXPECT_EQ((*parsed)[2].grace, 90s);
  EXPECT_TRUE(parse_thresholds("", "", "", "")->empty());
}

TEST(Thresholds, WhatIsWrongIsNamed) {
  EXPECT_EQ(
      refusal("memory<1Gi"),
      "--eviction-hard: \"memory\" is not a signal; there are memory.available, nodefs.available, nodefs.inodesFree, imagefs.available, "
      "imagefs.inodesFree, pid.available");
  EXPECT_EQ(refusal("memory.available=1Gi"), "--eviction-hard: \"memory.available=1Gi\" must have the form SIGNAL<VALUE");
  EXPECT_EQ(refusal("memory.available<much"),
            "--eviction-hard: memory.available: \"much\" is neither a quantity like 100Mi nor a percentage");
  EXPECT_EQ(refusal("memory.available<-1"), "--eviction-hard: memory.available: \"-1\" must be above zero");
  EXPECT_EQ(refusal("memory.available<101%"), "--eviction-hard: memory.available: \"101%\" must be from 0% to 100%");
  EXPECT_EQ(refusal("memory.available<-5%"), "--eviction-hard: memory.available: \"-5%\" must be from 0% to 100%");
  EXPECT_EQ(refusal("pid.available<1,pid.available<2"), "--eviction-hard: pid.available is there twice");
  EXPECT_EQ(refusal("", "memory.available<1Gi"), "--eviction-soft: memory.available needs a grace period in --eviction-soft-grace-period");
  EXPECT_EQ(refusal("", "", "memory.available=soon"),
            "--eviction-soft-grace-period: memory.available must have a duration like 1m30s, not \"soon\"");
  EXPECT_EQ(refusal("", "", "", "memory.available=-1"), "--eviction-minimum-reclaim: memory.available: \"-1\" must be above zero");
}

struct Fixture {
  Pressure pressure;
  Instant now{};

  explicit Fixture(std::string_view hard, std::string_view soft = "", std::string_view grace = "", std::string_view reclaim = "")
      : pressure(*parse_thresholds(hard, soft, grace, reclaim), 5min) {}
  /// The names of the signals that ask for something to be done.
  Names look(Duration later, Observations seen) {
    now += later;
    Names out;
    for (const Threshold& threshold : pressure.look(seen, now)) out.push_back(name_of(threshold.signal));
    return out;
  }
};

Observations memory(int64_t available) { return {{Signal::memory_available, {available, 1000}}}; }

TEST(Pressure, AConditionOutlivesItsThresholdByTheTransitionPeriod) {
  Fixture node("memory.available<100");
  EXPECT_EQ(node.look(0s, memory(100)), Names());
  EXPECT_EQ(node.pressure.conditions(), Names());
  EXPECT_EQ(node.look(10s, memory(99)), Names{"memory.available"});
  EXPECT_EQ(node.pressure.conditions(), Names{"MemoryPressure"});
  EXPECT_EQ(node.look(10s, memory(500)), Names());
  EXPECT_EQ(node.pressure.conditions(), Names{"MemoryPressure"}) << "for five minutes";
  EXPECT_EQ(node.pressure.next_change(node.now), node.now + 5min - 10s);
  node.look(5min - 11s, memory(500));
  EXPECT_EQ(node.pressure.conditions(), Names{"MemoryPressure"});
  node.look(1s, memory(500));
  EXPECT_EQ(node.pressure.conditions(), Names());
  EXPECT_EQ(node.pressure.next_change(node.now), Instant::max());
}

TEST(Pressure, ASoftThresholdWaitsForItsGraceAndIsACondition) {
  Fixture node("", "memory.available<200", "memory.available=1m");
  EXPECT_EQ(node.look(0s, memory(150)), Names());
  EXPECT_EQ(node.pressure.conditions(), Names{"MemoryPressure"});
  EXPECT_EQ(node.pressure.next_change(node.now), node.now + 1min);
  EXPECT_EQ(node.look(59s, memory(150)), Names());
  EXPECT_EQ(node.look(1s, memory(150)), Names{"memory.available"});
  EXPECT_EQ(node.look(1s, memory(250)), Names());
  EXPECT_EQ(node.look(1s, memory(150)), Names()) << "its time begins anew";
}

TEST(Pressure, WhatIsActedUponIsReclaimedByItsMinimum) {
  Fixture node("memory.available<100", "", "", "memory.available=50");
  EXPECT_EQ(node.look(0s, memory(120)), Names()) << "not yet acted upon";
  EXPECT_EQ(node.look(10s, memory(90)), Names{"memory.available"});
  EXPECT_EQ(node.look(10s, memory(120)), Names{"memory.available"});
  EXPECT_FALSE(node.pressure.relieved(memory(120)));
  EXPECT_EQ(node.look(10s, memory(150)), Names());
  EXPECT_TRUE(node.pressure.relieved(memory(150)));
}

TEST(Pressure, MemoryComesFirst) {
  Fixture node("nodefs.available<10%,pid.available<5,memory.available<100");
  EXPECT_EQ(
      node.look(0s, {{Signal::memory_available, {1, 1000}}, {Signal::nodefs_available, {99, 1000}}, {Signal::pid_available, {4, 100}}}),
      (Names{"memory.available", "nodefs.available", "pid.available"}));
  EXPECT_EQ(node.pressure.conditions(), (Names{"DiskPressure", "MemoryPressure", "PIDPressure"}));
}

}  // namespace
}  // namespace estiba::node
