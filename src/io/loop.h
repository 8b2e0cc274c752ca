// Loop: the real Executor, one thread's epoll loop. It sleeps without a timeout unless a timer is armed, so an idle
// program makes no wake-ups. Other threads reach it by post() and stop() only.
#pragma once
#include <atomic>
#include <coroutine>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "base/executor.h"
#include "base/result.h"
#include "base/task.h"
#include "io/timer_heap.h"

namespace estiba::io {

class Loop final : public Executor {
 public:
  Loop();
  ~Loop() override;
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  /// The loop whose run() is on this thread's stack, or null.
  static Loop* current();

  /// Runs until stop(). A stop() that came before is honoured at once.
  void run();
  /// Any thread.
  void stop();
  /// Runs the loop on this thread until `task` has ended, and returns its value: for main programs and tests.
  template <class T>
  T block_on(Task<T> task);

  // Executor
  void post(Work work) override;
  Timer at(Instant when, Work work) override;
  bool cancel(Timer timer) override;
  Instant now() const override { return std::chrono::steady_clock::now(); }
  WallTime wall_now() const override { return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now()); }

  /// `co_await loop.readable(fd)`: resumes when a read would not block (or would fail); may be spurious. Dropping the
  /// waiting frame forgets it. Any number of coroutines may wait for one fd. A file that epoll refuses (a regular file) is
  /// always ready. The fd must stay open while somebody waits.
  class Readiness;
  Readiness readable(int fd);
  Readiness writable(int fd);
  /// Resumes when the peer of a socket has gone or has shut down its sending side.
  Readiness hung_up(int fd);

  /// Calls `callback` with the epoll events whenever one of `events` (EPOLLIN, …; level-triggered) holds, until
  /// unwatch(). An fd that is watched cannot be awaited as well.
  using Callback = UniqueFunction<void(uint32_t events)>;
  Result<void> watch(int fd, uint32_t events, Callback callback);
  /// Also ends an fd's pin(). Call it before closing the fd.
  void unwatch(int fd);

  /// Keeps an fd in epoll between waits, which saves two system calls a wait; unwatch() before closing it.
  void pin(int fd);
  /// Resumes, soon, all who wait for this fd; it may be closed right after.
  void interrupt(int fd);

  /// Armed timers; a test of idleness asserts on it.
  size_t timers() const { return timers_.size(); }

 private:
  struct Entry;
  struct WaitList;
  Entry& entry(int fd);
  Entry* find(int fd);
  bool update(Entry& entry, uint32_t events);
  void release_if_unused(Entry& entry);
  void dispatch(int fd, uint32_t generation, uint32_t events);
  void call_back(Entry& entry, uint32_t events);
  void run_posted();
  void run_timers();
  void resume_interrupted();
  void wait();
  void wake();

  int epoll_ = -1;
  int wake_ = -1;
  std::atomic<bool> stop_ = false;
  uint32_t next_generation_ = 1;
  std::vector<std::unique_ptr<Entry>> entries_;  // by fd
  Readiness* interrupted_ = nullptr;             // waiters that interrupt() took off their fds
  TimerHeap timers_;
  std::vector<Work> local_;  // posted from this thread
  std::mutex mutex_;
  std::vector<Work> remote_;  // guarded by mutex_
  std::atomic<bool> remote_waiting_ = false;
};

class Loop::Readiness {
 public:
  enum class Kind : uint8_t { read, write, hangup };
  Readiness(Loop& loop, int fd, Kind kind) : loop_(loop), fd_(fd), kind_(kind) {}
  Readiness(const Readiness&) = delete;
  ~Readiness();
  bool await_ready() const { return false; }
  bool await_suspend(std::coroutine_handle<> h);
  void await_resume() const {}

 private:
  friend class Loop;
  void link(Readiness** head);
  void unlink();
  Loop& loop_;
  int fd_;
  Kind kind_;
  std::coroutine_handle<> handle_;
  Readiness* next_ = nullptr;
  Readiness** link_ = nullptr;  // what points at this waiter; null when it waits no more
};

inline Loop::Readiness Loop::readable(int fd) { return Readiness(*this, fd, Readiness::Kind::read); }
inline Loop::Readiness Loop::writable(int fd) { return Readiness(*this, fd, Readiness::Kind::write); }
inline Loop::Readiness Loop::hung_up(int fd) { return Readiness(*this, fd, Readiness::Kind::hangup); }

template <class T>
T Loop::block_on(Task<T> task) {
  Job job;
  if constexpr (std::is_void_v<T>) {
    struct Run {
      static Task<void> go(Task<void> task, Loop* loop) {
        co_await std::move(task);
        loop->stop();
      }
    };
    post([&] { job = Job(Run::go(std::move(task), this)); });
    run();
  } else {
    struct Run {
      static Task<void> go(Task<T> task, Loop* loop, std::optional<T>* out) {
        out->emplace(co_await std::move(task));
        loop->stop();
      }
    };
    std::optional<T> out;
    post([&] { job = Job(Run::go(std::move(task), this, &out)); });
    run();
    return std::move(*out);
  }
}

}  // namespace estiba::io
