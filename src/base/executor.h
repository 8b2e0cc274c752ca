// Executor: one thread's queue of work and timers. io::Loop is the real one (epoll); FakeExecutor drives tests, where
// time moves only when a test advances it. All of Estiba's asynchronous code asks its executor for the time and for
// timers, never the system, so that every piece of it runs under a fake clock.
#pragma once
#include <chrono>
#include <cstdint>

#include "base/function.h"

namespace estiba {

using Duration = std::chrono::nanoseconds;
/// Monotonic time since an arbitrary start.
using Instant = std::chrono::time_point<std::chrono::steady_clock, Duration>;
/// Time of day, UTC.
using WallTime = std::chrono::time_point<std::chrono::system_clock, Duration>;

class Executor {
 public:
  using Work = UniqueFunction<void()>;
  struct Timer {
    uint64_t id = 0;  ///< 0 is no timer
  };

  virtual ~Executor() = default;

  /// Runs `work` soon on this executor's thread, in the order of the calls. May be called from any thread.
  virtual void post(Work work) = 0;

  /// Runs `work` at or after `when`. Only from this executor's own thread.
  virtual Timer at(Instant when, Work work) = 0;
  /// Forgets a timer that has not fired; false if it has or is unknown. Only from this executor's own thread.
  virtual bool cancel(Timer timer) = 0;

  virtual Instant now() const = 0;
  virtual WallTime wall_now() const = 0;

  Timer after(Duration delay, Work work) { return at(now() + delay, std::move(work)); }

  /// The executor whose thread this is, or null outside of any.
  static Executor* current();

 protected:
  /// Set by an implementation while it runs work on its thread; returns what was set before.
  static Executor* set_current(Executor* executor);
};

}  // namespace estiba
