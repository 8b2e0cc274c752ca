#include "io/loop.h"

#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "io/pool.h"
#include "io/thread.h"

namespace estiba::io {
namespace {

using namespace std::chrono_literals;

struct Sockets {
  int a = -1, b = -1;
  Sockets() {
    int fds[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    a = fds[0];
    b = fds[1];
  }
  ~Sockets() {
    ::close(a);
    ::close(b);
  }
};

Task<int> slept(int value) {
  co_await sleep_for(1ms);
  co_return value;
}

TEST(Loop, BlockOnReturnsTheTasksValue) {
  Loop loop;
  EXPECT_EQ(loop.block_on(slept(7)), 7);
  EXPECT_EQ(loop.block_on(slept(8)), 8);
  EXPECT_EQ(Loop::current(), nullptr);
}

TEST(Loop, TimersFireInOrderAndCanBeCancelled) {
  TimerHeap heap;
  std::string order;
  Instant start{};
  heap.add(start + 3s, [&] { order += "c"; });
  heap.add(start + 1s, [&] { order += "a"; });
  auto gone = heap.add(start + 2s, [&] { order += "x"; });
  heap.add(start + 1s, [&] { order += "b"; });
  EXPECT_TRUE(heap.cancel(gone));
  EXPECT_FALSE(heap.cancel(gone));
  EXPECT_FALSE(heap.take_due(start));
  while (auto work = heap.take_due(start + 3s)) work();
  EXPECT_EQ(order, "abc");
  EXPECT_EQ(heap.size(), 0u);
  EXPECT_FALSE(heap.cancel({0}));
}

TEST(Loop, ManyTimersKeepTheirOrder) {
  TimerHeap heap;
  std::vector<int> fired;
  std::vector<Executor::Timer> ids;
  for (int i = 0; i < 500; ++i) {
    int key = i * 7919 % 500;
    ids.push_back(heap.add(Instant{} + std::chrono::seconds(key), [&fired, key] { fired.push_back(key); }));
  }
  for (int i = 0; i < 500; i += 3) heap.cancel(ids[i]);
  while (auto work = heap.take_due(Instant{} + 1000s)) work();
  EXPECT_EQ(fired.size(), 333u);
  EXPECT_TRUE(std::is_sorted(fired.begin(), fired.end()));
}

TEST(Loop, PostWakesItFromAnotherThread) {
  Loop loop;
  std::thread other([&] {
    std::this_thread::sleep_for(5ms);
    loop.post([&] { loop.stop(); });
  });
  loop.run();
  other.join();
}

Task<char> read_one(Loop* loop, int fd) {
  char c = 0;
  while (::read(fd, &c, 1) != 1) co_await loop->readable(fd);
  co_return c;
}

Task<char> ping_pong(Loop* loop, Sockets* s) {
  TaskGroup group;
  group.start([](Sockets* s) -> Task<void> {
    co_await sleep_for(1ms);
    [[maybe_unused]] auto n = ::write(s->b, "x", 1);
  }(s));
  co_return co_await read_one(loop, s->a);
}

TEST(Loop, ReadinessResumesTheReader) {
  Loop loop;
  Sockets s;
  EXPECT_EQ(loop.block_on(ping_pong(&loop, &s)), 'x');
  loop.pin(s.a);
  EXPECT_EQ(loop.block_on(ping_pong(&loop, &s)), 'x');
  loop.unwatch(s.a);
}

Task<void> drop_a_waiter(Loop* loop, Sockets* s) {
  {
    Job job([](Loop* loop, int fd) -> Task<void> {
      co_await loop->readable(fd);
      ADD_FAILURE() << "resumed after it was dropped";
    }(loop, s->a));
  }
  [[maybe_unused]] auto n = ::write(s->b, "x", 1);
  co_await sleep_for(2ms);
}

Task<void> reopened(Loop* loop, Sockets* first, Sockets* second) {
  EXPECT_EQ(::write(first->b, "x", 1), 1);
  co_await loop->readable(first->a);
  // The same number now means another socket; nothing was suspended in between.
  ::close(first->a);
  EXPECT_EQ(::dup2(second->a, first->a), first->a);
  EXPECT_EQ(::write(second->b, "y", 1), 1);
  co_await loop->readable(first->a);
}

TEST(Loop, ANumberThatIsUsedAgainAtOnceIsWaitedForAnew) {
  Loop loop;
  Sockets first, second;
  auto done = loop.block_on(with_timeout(5s, [](Loop* loop, Sockets* first, Sockets* second) -> Task<bool> {
    co_await reopened(loop, first, second);
    co_return true;
  }(&loop, &first, &second)));
  EXPECT_TRUE(done);
}

TEST(Loop, DroppingAWaiterForgetsIt) {
  Loop loop;
  Sockets s;
  loop.block_on(drop_a_waiter(&loop, &s));
}

// Two waiters become ready in one batch, and the first to run drops the other.
Task<void> first_drops_second(Loop* loop, Sockets* one, int* resumed) {
  Job jobs[2];
  Event done;
  struct Wait {
    static Task<void> go(Loop* loop, int fd, Job* other, int* resumed, Event* done) {
      co_await loop->readable(fd);
      ++*resumed;
      other->cancel();
      done->set();
    }
  };
  jobs[0] = Job(Wait::go(loop, one->a, &jobs[1], resumed, &done));
  jobs[1] = Job(Wait::go(loop, one->a, &jobs[0], resumed, &done));
  [[maybe_unused]] auto n = ::write(one->b, "x", 1);
  co_await done.wait();
}

TEST(Loop, AResumedWaiterMayDropAnotherOfTheSameBatch) {
  Loop loop;
  Sockets s;
  int resumed = 0;
  loop.block_on(first_drops_second(&loop, &s, &resumed));
  EXPECT_EQ(resumed, 1);
}

TEST(Loop, AWatchMayEndItself) {
  Loop loop;
  Sockets s;
  int calls = 0;
  ASSERT_TRUE(loop.watch(s.a, EPOLLIN, [&](uint32_t) {
    ++calls;
    loop.unwatch(s.a);
    loop.stop();
  }));
  [[maybe_unused]] auto n = ::write(s.b, "x", 1);
  loop.run();
  EXPECT_EQ(calls, 1);
}

TEST(Loop, HungUpTellsThatThePeerHasGone) {
  Loop loop;
  Sockets s;
  ::shutdown(s.b, SHUT_WR);
  loop.block_on([](Loop* loop, int fd) -> Task<void> { co_await loop->hung_up(fd); }(&loop, s.a));
}

Task<int> through_pool(Pool* pool) {
  auto here = std::this_thread::get_id();
  int value = co_await pool->run([here] { return std::this_thread::get_id() == here ? 0 : 42; });
  EXPECT_EQ(std::this_thread::get_id(), here);
  co_await pool->run([] {});
  co_return value;
}

TEST(Pool, RunsElsewhereAndResumesHere) {
  Loop loop;
  Pool pool(2);
  EXPECT_EQ(loop.block_on(through_pool(&pool)), 42);
}

TEST(LoopThread, RunOnBringsAValueBack) {
  Loop loop;
  LoopThread other("test");
  auto run = [](LoopThread* other) -> Task<std::optional<int>> { co_return co_await run_on<int>(other->loop(), [] { return slept(5); }); };
  EXPECT_EQ(loop.block_on(run(&other)), 5);
}

}  // namespace
}  // namespace estiba::io
