#include "server/memory_keeper.h"

#include <gtest/gtest.h>

namespace estiba::server {
namespace {

constexpr uint64_t mib = 1 << 20;

TEST(MemoryBudget, MemoryIsGivenBackAfterABurstAndNotInIt) {
  MemoryBudget budget;
  budget.settle(20 * mib);
  EXPECT_FALSE(budget.look(21 * mib, 100));
  EXPECT_FALSE(budget.look(200 * mib, 100 + 5000)) << "much is being written";
  EXPECT_TRUE(budget.look(200 * mib, 100 + 5001));
}

TEST(MemoryBudget, WhatHasBeenGivenBackIsLeftAlone) {
  MemoryBudget budget;
  budget.settle(20 * mib);
  EXPECT_TRUE(budget.look(120 * mib, 2));
  budget.settle(110 * mib);
  EXPECT_FALSE(budget.look(121 * mib, 3));
  EXPECT_TRUE(budget.look(130 * mib, 4)) << "an eighth more";
}

TEST(MemoryBudget, WhatWentByItselfLowersTheMark) {
  MemoryBudget budget;
  budget.settle(100 * mib);
  EXPECT_FALSE(budget.look(20 * mib, 2));
  EXPECT_TRUE(budget.look(30 * mib, 3));
  budget.settle(29 * mib);
  EXPECT_FALSE(budget.look(30 * mib, 4));
}

}  // namespace
}  // namespace estiba::server
