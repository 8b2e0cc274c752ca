#include "server/memory_keeper.h"

#include <gtest/gtest.h>

namespace estiba::server {
namespace {

constexpr uint64_t mib = 1 << 20;

TEST(MemoryBudget, MemoryIsGivenBackAfterABurstAndNotInIt) {
  MemoryBudget budget;
  budget.settle(20 * mib);
  EXPECT_FALSE(budget.look({.revision = 100, .free = 21 * mib}).trim);
  EXPECT_FALSE(budget.look({.revision = 100 + 5000, .free = 200 * mib}).trim) << "much is being written";
  EXPECT_TRUE(budget.look({.revision = 100 + 5001, .free = 200 * mib}).trim);
}

TEST(MemoryBudget, WhatHasBeenGivenBackIsLeftAlone) {
  MemoryBudget budget;
  budget.settle(20 * mib);
  EXPECT_TRUE(budget.look({.revision = 2, .free = 120 * mib}).trim);
  budget.settle(110 * mib);
  EXPECT_FALSE(budget.look({.revision = 3, .free = 121 * mib}).trim);
  EXPECT_TRUE(budget.look({.revision = 4, .free = 130 * mib}).trim) << "an eighth more";
}

TEST(MemoryBudget, WhatWentByItselfLowersTheMark) {
  MemoryBudget budget;
  budget.settle(100 * mib);
  EXPECT_FALSE(budget.look({.revision = 2, .free = 20 * mib}).trim);
  EXPECT_TRUE(budget.look({.revision = 3, .free = 30 * mib}).trim);
  budget.settle(29 * mib);
  EXPECT_FALSE(budget.look({.revision = 4, .free = 30 * mib}).trim);
}

TEST(MemoryBudget, RenewalsOfLeasesAreNoBurst) {
  MemoryBudget budget;
  budget.settle(20 * mib);
  EXPECT_TRUE(budget.look({.revision = 5999, .renewals = 5000, .free = 100 * mib}).trim);
  EXPECT_FALSE(budget.look({.revision = 5999 + 6000, .renewals = 5000, .free = 100 * mib}).trim);
}

TEST(MemoryBudget, ManyDecodedObjectsAreLetGoOnce) {
  MemoryBudget budget;
  EXPECT_FALSE(budget.look({.revision = 1, .decoded = 500}).shed) << "too few";
  EXPECT_FALSE(budget.look({.revision = 5000, .decoded = 5000}).shed) << "much is being written";
  EXPECT_TRUE(budget.look({.revision = 5001, .decoded = 5000}).shed);
  budget.settle_decoded(4500);
  EXPECT_FALSE(budget.look({.revision = 5002, .decoded = 6700}).shed) << "they are needed";
  EXPECT_TRUE(budget.look({.revision = 5003, .decoded = 6800}).shed) << "half as many again";
}

TEST(MemoryBudget, StructsThatAreBackAtOnceAreLetGoLessAndLessOften) {
  MemoryBudget budget;
  store::Revision revision = 0;
  const auto looks_until_shed = [&] {
    for (int looks = 1;; ++looks) {
      if (!budget.look({.revision = ++revision, .decoded = 5000}).shed) continue;
      budget.settle_decoded(100);
      return looks;
    }
  };
  std::vector<int> waits;
  for (int i = 0; i < 9; ++i) waits.push_back(looks_until_shed());
  EXPECT_EQ(waits, (std::vector<int>{1, 1, 2, 4, 8, 16, 32, 64, 64}));
  for (int i = 0; i < 200; ++i) EXPECT_FALSE(budget.look({.revision = ++revision, .decoded = 100}).shed);
  EXPECT_EQ(looks_until_shed(), 1);
  EXPECT_EQ(looks_until_shed(), 1);
}

}  // namespace
}  // namespace estiba::server
