#include "apiserver/fan_out.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/fake_executor.h"
#include "base/task.h"

namespace estiba::apiserver {
namespace {

using namespace std::chrono_literals;

Task<void> serve(FanOut::Turn* turn, int number, std::vector<int>* told) {
  for (;;) {
    co_await *turn;
    told->push_back(number);
  }
}

class FanOutTest : public ::testing::Test {
 protected:
  FakeExecutor executor;
  std::shared_ptr<FanOut> fan_out = std::make_shared<FanOut>(executor);
  std::vector<int> told;
};

TEST_F(FanOutTest, WhatRangHasItsTurnOnceAndInOrder) {
  FanOut::Turn a(fan_out), b(fan_out);
  Job serve_a(serve(&a, 1, &told)), serve_b(serve(&b, 2, &told));
  b.ring();
  a.ring();
  b.ring();
  executor.run();
  EXPECT_EQ(told, (std::vector{2, 1}));
  a.ring();
  executor.run();
  EXPECT_EQ(told, (std::vector{2, 1, 1}));
}

TEST_F(FanOutTest, ATurnThatComesWhileNobodyWaitsIsRemembered) {
  FanOut::Turn turn(fan_out);
  turn.ring();
  executor.run();
  Job job(serve(&turn, 1, &told));
  EXPECT_EQ(told, (std::vector{1}));
}

TEST_F(FanOutTest, WhoLeavesTheQueueIsNotServed) {
  FanOut::Turn first(fan_out), last(fan_out);
  auto middle = std::make_unique<FanOut::Turn>(fan_out);
  Job one(serve(&first, 1, &told)), three(serve(&last, 3, &told));
  Job two(serve(middle.get(), 2, &told));
  for (FanOut::Turn* turn : {&first, middle.get(), &last}) turn->ring();
  two.cancel();
  middle.reset();
  executor.run();
  EXPECT_EQ(told, (std::vector{1, 3}));
}

// Two watches that each take longer than a slice, and something else that was posted meanwhile.
TEST_F(FanOutTest, OtherWorkComesBetweenSlices) {
  struct Slow {
    static Task<void> go(FanOut::Turn* turn, int number, std::vector<int>* told, FakeExecutor* executor) {
      co_await *turn;
      told->push_back(number);
      if (number == 1) executor->post([told] { told->push_back(100); });
      executor->pass(FanOut::slice);
    }
  };
  FanOut::Turn a(fan_out), b(fan_out);
  Job one(Slow::go(&a, 1, &told, &executor)), two(Slow::go(&b, 2, &told, &executor));
  a.ring();
  b.ring();
  executor.run();
  EXPECT_EQ(told, (std::vector{1, 100, 2}));
}

// A watch that takes `cost` whenever its turn comes.
Task<void> costly(FanOut::Turn* turn, Duration cost, int number, std::vector<int>* told, FakeExecutor* executor) {
  for (;;) {
    co_await *turn;
    told->push_back(number);
    executor->pass(cost);
  }
}

TEST_F(FanOutTest, ALongRoundIsFollowedByARest) {
  FanOut::Turn a(fan_out), b(fan_out);
  Job one(costly(&a, FanOut::long_round, 1, &told, &executor)), two(costly(&b, FanOut::long_round, 2, &told, &executor));
  a.ring();
  b.ring();
  executor.run();
  a.ring();
  executor.run();
  EXPECT_EQ(told, (std::vector{1, 2})) << "they rest";
  executor.advance(2 * FanOut::long_round - 1ms);
  EXPECT_EQ(told, (std::vector{1, 2}));
  executor.advance(1ms);
  EXPECT_EQ(told, (std::vector{1, 2, 1})) << "what rang meanwhile is not lost";
}

TEST_F(FanOutTest, ShortRoundsNeedNoRest) {
  FanOut::Turn turn(fan_out);
  Job job(costly(&turn, FanOut::slice, 1, &told, &executor));
  for (int i = 0; i < 20; i++) {
    turn.ring();
    executor.run();
    executor.advance(FanOut::long_round);
  }
  EXPECT_EQ(told.size(), 20u);
}

}  // namespace
}  // namespace estiba::apiserver
