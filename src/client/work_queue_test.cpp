#include "client/work_queue.h"

#include <gtest/gtest.h>

#include <map>

#include "base/fake_executor.h"

namespace estiba::client {
namespace {

using namespace std::chrono_literals;

struct WorkQueueTest : ::testing::Test {
  FakeExecutor executor;
  std::map<std::string, int> runs, at_once;
  int most_at_once = 0, running = 0;
  Duration takes = 1s;
  int failures = 0;
  bool overlapped = false;

  static Task<Result<void>> work(WorkQueueTest* t, std::string key) {
    ++t->runs[key];
    t->overlapped |= ++t->at_once[key] > 1;
    t->most_at_once = std::max(t->most_at_once, ++t->running);
    if (t->takes > 0s) co_await sleep_for(t->takes);
    --t->running;
    --t->at_once[key];
    if (t->failures > 0) {
      --t->failures;
      co_return fail(Code::conflict, "no");
    }
    co_return {};
  }
  WorkQueue::Reconcile reconcile() {
    return [this](std::string key) { return work(this, std::move(key)); };
  }
};

TEST_F(WorkQueueTest, RunsNothingBeforeStart) {
  WorkQueue queue(executor, "q", reconcile());
  queue.add("a");
  executor.advance(1min);
  EXPECT_EQ(runs["a"], 0);
  queue.start();
  executor.run();
  EXPECT_EQ(runs["a"], 1);
}

TEST_F(WorkQueueTest, AKeyAddedOftenRunsOnceAndAgainIfAddedWhileItRuns) {
  WorkQueue queue(executor, "q", reconcile());
  queue.start();
  for (int i = 0; i < 5; ++i) queue.add("a");
  executor.run();
  EXPECT_EQ(runs["a"], 1);
  for (int i = 0; i < 5; ++i) queue.add("a");
  executor.advance(5s);
  EXPECT_EQ(runs["a"], 2);
  EXPECT_FALSE(overlapped);
}

TEST_F(WorkQueueTest, NoMoreWorkersThanAllowedAndNoKeyIsForgotten) {
  WorkQueue queue(executor, "q", reconcile(), {.workers = 3});
  queue.start();
  for (int i = 0; i < 20; ++i) queue.add(std::to_string(i));
  executor.advance(10s);
  EXPECT_EQ(most_at_once, 3);
  EXPECT_EQ(runs.size(), 20u);
  EXPECT_EQ(queue.running() + queue.waiting(), 0u);
}

TEST_F(WorkQueueTest, FailuresBackOffExponentiallyAndEnd) {
  takes = 0s;
  failures = 5;
  WorkQueue queue(executor, "q", reconcile(), {.first_pause = 1s, .longest_pause = 4s});
  queue.start();
  queue.add("a");
  executor.run();
  EXPECT_EQ(runs["a"], 1);
  executor.advance(1s);
  EXPECT_EQ(runs["a"], 2);
  executor.advance(1s);
  EXPECT_EQ(runs["a"], 2);
  executor.advance(1s);
  EXPECT_EQ(runs["a"], 3);
  executor.advance(8s);
  EXPECT_EQ(runs["a"], 5);
  executor.advance(1h);
  EXPECT_EQ(runs["a"], 6);
  EXPECT_EQ(executor.timers(), 0u);
}

TEST_F(WorkQueueTest, TheEarliestOfSeveralDelaysHolds) {
  takes = 0s;
  WorkQueue queue(executor, "q", reconcile());
  queue.start();
  queue.add_after("a", 10s);
  queue.add_after("a", 2s);
  queue.add_after("a", 20s);
  executor.advance(2s);
  EXPECT_EQ(runs["a"], 1);
  executor.advance(1min);
  EXPECT_EQ(runs["a"], 1);
}

TEST_F(WorkQueueTest, DestructionCancelsWhatRunsAndWaits) {
  {
    WorkQueue queue(executor, "q", reconcile());
    queue.start();
    queue.add("a");
    queue.add_after("b", 1h);
    executor.run();
  }
  EXPECT_EQ(executor.timers(), 0u);
  executor.advance(2h);
  EXPECT_EQ(runs["b"], 0);
}

}  // namespace
}  // namespace estiba::client
