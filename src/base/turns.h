// Turns: operations of one thread that must not mix, one after the other. Each runs to its end even when the task that waits for it is
// dropped (a client that hangs up must leave nothing half done); they end with the Turns that runs them.
#pragma once
#include <utility>

#include "base/task.h"

namespace estiba {

class Turns {
 public:
  Turns() = default;
  Turns(const Turns&) = delete;

  /// Runs `task` when those before it have ended, and returns its value. `task` refers only to what outlives this object.
  template <class T>
  Task<T> run(Task<T> task) {
    OneShot<T> done;
    running_.start(go(this, std::move(task), done.sender()));
    auto value = co_await done;
    if (!value) co_await std::suspend_always();  // these turns have ended: nothing is left but to be dropped
    co_return std::move(*value);
  }

 private:
  struct Turn {
    explicit Turn(Turns* turns) : turns(turns) {}
    Turn(const Turn&) = delete;
    ~Turn() {
      turns->busy_ = false;
      turns->free_.set();
    }
    Turns* turns;
  };
  template <class T>
  static Task<void> go(Turns* self, Task<T> task, typename OneShot<T>::Sender sender) {
    while (self->busy_) {
      self->free_.reset();
      co_await self->free_.wait();
    }
    self->busy_ = true;
    Turn turn(self);
    sender.send(co_await std::move(task));
  }

  bool busy_ = false;
  Event free_;
  TaskGroup running_;  // last: ends first
};

}  // namespace estiba
