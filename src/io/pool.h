// Pool: a few threads for work that blocks (name lookups, fsync, unpacking). Threads start when work waits and end after
// a while without any.
#pragma once
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>

#include "base/executor.h"
#include "base/task.h"

namespace estiba::io {

class Pool {
 public:
  explicit Pool(size_t threads);
  /// Waits for the work that has started; drops what has not (its awaiters never resume: drop them first).
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  /// The pool of this process for small chores, such as looking up a host name.
  static Pool& shared();

  /// Runs `work` on a thread of the pool. Any thread.
  void submit(Executor::Work work);

  /// Runs `fn` on a thread of the pool; the awaiting coroutine resumes on its executor. Dropping the task drops only the
  /// waiting: `fn` runs to its end, so it owns what it uses.
  template <class F>
  Task<std::invoke_result_t<F&>> run(F fn) {
    using T = std::invoke_result_t<F&>;
    if constexpr (std::is_void_v<T>) {
      OneShot<bool> done;
      submit([fn = std::move(fn), sender = done.sender()]() mutable {
        fn();
        sender.send(true);
      });
      co_await done;
    } else {
      OneShot<T> done;
      submit([fn = std::move(fn), sender = done.sender()]() mutable { sender.send(fn()); });
      co_return *co_await done;
    }
  }

 private:
  struct State;
  static void work_until_idle(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace estiba::io
