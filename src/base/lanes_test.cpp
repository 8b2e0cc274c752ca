#include "base/lanes.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/fake_executor.h"

namespace estiba {
namespace {

using namespace std::chrono_literals;

TEST(Lanes, NoMoreAreUnderWayThanThereAreLanes) {
  FakeExecutor executor;
  size_t under_way = 0, most = 0;
  std::vector<size_t> started;
  auto work = [&](size_t i) -> Task<void> {
    started.push_back(i);
    most = std::max(most, ++under_way);
    co_await sleep_for(1s);
    --under_way;
  };
  bool ended = false;
  spawn([](auto* each, bool* done) -> Task<void> {
    co_await in_lanes(10, 4, [each](size_t i) { return (*each)(i); });
    *done = true;
  }(&work, &ended));
  executor.advance(2s);
  EXPECT_FALSE(ended);
  executor.advance(1s);
  EXPECT_TRUE(ended);
  EXPECT_EQ(most, 4u);
  EXPECT_EQ(started, (std::vector<size_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
}

TEST(Lanes, WhatEndsAtOnceNeedsNoStack) {
  FakeExecutor executor;
  size_t sum = 0;
  auto work = [&](size_t i) -> Task<void> {
    sum += i;
    co_return;
  };
  spawn([](auto* each) -> Task<void> { co_await in_lanes(1000, 3, [each](size_t i) { return (*each)(i); }); }(&work));
  EXPECT_EQ(sum, 1000u * 999 / 2);
}

}  // namespace
}  // namespace estiba
