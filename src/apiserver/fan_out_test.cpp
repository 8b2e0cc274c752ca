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

}  // namespace
}  // namespace estiba::apiserver
