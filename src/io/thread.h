// LoopThread: a thread that runs a Loop, and a way to call a coroutine there from another loop.
#pragma once
#include <string>
#include <thread>

#include "io/loop.h"

namespace estiba::io {

class LoopThread {
 public:
  /// `name` is what ps shows, at most 15 characters.
  explicit LoopThread(std::string name);
  /// Stops the loop and joins the thread. What runs on the loop should have ended before.
  ~LoopThread();
  LoopThread(const LoopThread&) = delete;
  LoopThread& operator=(const LoopThread&) = delete;

  Loop& loop() { return loop_; }

 private:
  Loop loop_;
  std::thread thread_;
};

/// Runs `make()`'s task on `executor` and resumes here with its value; nullopt if it was dropped there. Dropping the waiting
/// does not cancel what runs there: `run_on<int>(loop, [] { return count(); })`.
template <class T>
Task<std::optional<T>> run_on(Executor& executor, UniqueFunction<Task<T>()> make) {
  struct Run {
    static Task<void> go(UniqueFunction<Task<T>()> make, typename OneShot<T>::Sender sender) { sender.send(co_await make()); }
  };
  OneShot<T> done;
  executor.post([make = std::move(make), sender = done.sender()]() mutable { spawn(Run::go(std::move(make), std::move(sender))); });
  co_return co_await done;
}

}  // namespace estiba::io
