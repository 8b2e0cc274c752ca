#include "base/async_mutex.h"

#include <gtest/gtest.h>

#include <string>

#include "base/fake_executor.h"

namespace estiba {
namespace {

using namespace std::chrono_literals;

Task<void> work(AsyncMutex* mutex, std::string* log, char name) {
  const auto turn = co_await mutex->take();
  *log += name;
  co_await sleep_for(1s);
  *log += name;
}

TEST(AsyncMutex, OneAtATime) {
  FakeExecutor executor;
  AsyncMutex mutex;
  std::string log;
  TaskGroup group;
  for (char name : {'a', 'b', 'c'}) group.start(work(&mutex, &log, name));
  EXPECT_FALSE(mutex.idle());
  for (int i = 0; i < 3; ++i) executor.advance(1s);
  EXPECT_EQ(log, "aabbcc");
  EXPECT_TRUE(mutex.idle());
}

TEST(AsyncMutex, WhoIsDroppedHoldsNobodyUp) {
  FakeExecutor executor;
  AsyncMutex mutex;
  std::string log;
  Job holder(work(&mutex, &log, 'a')), waiter(work(&mutex, &log, 'b')), last(work(&mutex, &log, 'c'));
  waiter.cancel();
  holder.cancel();
  executor.advance(1s);
  executor.advance(1s);
  EXPECT_EQ(log, "acc");
  EXPECT_TRUE(mutex.idle());
}

}  // namespace
}  // namespace estiba
