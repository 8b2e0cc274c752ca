#include "base/task.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>

#include "base/fake_executor.h"
#include "base/result.h"

namespace estiba {
namespace {

using namespace std::chrono_literals;

Task<Result<std::string>> half(std::string s, bool ok) {
  co_await sleep_for(1s);
  if (!ok) co_return fail(Code::not_found, s + " is not here");
  co_return s;
}

Task<Result<std::string>> both(bool second) {
  std::string a = CO_TRY(co_await half("a", true));
  std::string b = CO_TRY_AS("second", co_await half("b", second));
  co_return a + b;
}

template <class T>
Task<void> store(Task<T> task, std::optional<T>* out) {
  out->emplace(co_await std::move(task));
}

TEST(Task, ErrorsTravelWithContext) {
  FakeExecutor exec;
  std::optional<Result<std::string>> good, bad;
  spawn(store(both(true), &good));
  spawn(store(both(false), &bad));
  exec.advance(1s);
  EXPECT_FALSE(good);
  exec.advance(1s);
  ASSERT_TRUE(good && bad);
  EXPECT_EQ(**good, "ab");
  EXPECT_EQ(bad->error().message, "second: b is not here");
}

TEST(Task, DroppingAJobCancelsItsTimers) {
  FakeExecutor exec;
  {
    Job job([]() -> Task<void> { co_await sleep_for(1h); }());
    EXPECT_EQ(exec.timers(), 1u);
  }
  EXPECT_EQ(exec.timers(), 0u);
}

TEST(Task, TimeoutDropsTheLoser) {
  FakeExecutor exec;
  std::optional<std::optional<Result<std::string>>> late, early;
  spawn(store(with_timeout(500ms, half("x", true)), &late));
  spawn(store(with_timeout(2s, half("x", true)), &early));
  exec.advance(3s);
  ASSERT_TRUE(late && early);
  EXPECT_FALSE(*late);
  EXPECT_TRUE(*early && **early);
  EXPECT_EQ(exec.timers(), 0u);
}

TEST(Task, EventWakesAllAndLimitsHold) {
  FakeExecutor exec;
  Event event;
  int woke = 0, timed_out = 0;
  TaskGroup group;
  auto waits = [](Event* e, int* w, int* t) -> Task<void> { ++*((co_await e->wait_for(5s)) ? w : t); };
  group.start(waits(&event, &woke, &timed_out));
  exec.advance(3s);
  group.start(waits(&event, &woke, &timed_out));
  exec.advance(3s);
  EXPECT_EQ(timed_out, 1);
  event.set();
  EXPECT_EQ(woke, 0);  // resumed by the executor, never from within set()
  exec.run();
  EXPECT_EQ(woke, 1);
  EXPECT_EQ(group.size(), 0u);
}

TEST(Task, ManyTasksOfAGroupEndInAnyOrder) {
  FakeExecutor exec;
  TaskGroup group;
  size_t ended = 0;
  const auto waits = [](Duration time, size_t* ended) -> Task<void> {
    if (time > Duration::zero()) co_await sleep_for(time);
    ++*ended;
  };
  // Each start costs the same, however many there are: else this takes minutes.
  constexpr size_t many = 200'000;
  for (size_t i = 0; i < many; ++i) group.start(waits(std::chrono::seconds(i * 7919 % 4), &ended));
  EXPECT_EQ(ended, many / 4);
  EXPECT_EQ(group.size(), many - ended);
  exec.advance(2s);
  EXPECT_EQ(ended, many / 4 * 3);
  bool joined = false;
  Job job([](TaskGroup* group, bool* joined) -> Task<void> {
    co_await group->join();
    *joined = true;
  }(&group, &joined));
  EXPECT_FALSE(joined);
  exec.advance(1s);
  EXPECT_TRUE(joined);
  EXPECT_EQ(group.size(), 0u);
  group.start(waits(1s, &ended));
  group.cancel();
  EXPECT_EQ(exec.timers(), 0u);
  EXPECT_EQ(ended, many);
}

TEST(Task, AWaiterDroppedAfterSetIsNotResumed) {
  FakeExecutor exec;
  Event event;
  Job job([](Event* e) -> Task<void> {
    co_await e->wait();
    ADD_FAILURE();
  }(&event));
  event.set();
  job.cancel();
  exec.run();
}

TEST(OneShot, CrossesThreadsAndReportsAbandonment) {
  FakeExecutor exec;
  OneShot<int> sent, dropped;
  std::optional<std::optional<int>> a, b;
  auto receive = [](OneShot<int>* shot, std::optional<std::optional<int>>* out) -> Task<void> { *out = co_await *shot; };
  auto s1 = sent.sender();
  auto s2 = dropped.sender();
  spawn(receive(&sent, &a));
  spawn(receive(&dropped, &b));
  std::thread([s1 = std::move(s1), s2 = std::move(s2)]() mutable { s1.send(7); }).join();
  exec.run();
  ASSERT_TRUE(a && b);
  EXPECT_EQ(*a, 7);
  EXPECT_EQ(*b, std::nullopt);
}

}  // namespace
}  // namespace estiba
