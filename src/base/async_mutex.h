// AsyncMutex: coroutines of one thread take turns. Whoever waits resumes when it is free; dropping the waiting task forgets it.
#pragma once
#include <memory>

#include "base/task.h"

namespace estiba {

class AsyncMutex {
  struct State {
    bool busy = false;
    Event free;
  };

 public:
  /// Holds the turn until it goes; may outlive the mutex.
  class [[nodiscard]] Turn {
   public:
    explicit Turn(std::shared_ptr<State> state) : state_(std::move(state)) { state_->busy = true; }
    Turn(Turn&&) noexcept = default;
    ~Turn() {
      if (!state_) return;
      state_->busy = false;
      state_->free.set();
    }

   private:
    std::shared_ptr<State> state_;
  };

  AsyncMutex() = default;
  AsyncMutex(const AsyncMutex&) = delete;

  Task<Turn> take() { return take_turn(state_); }
  /// Whether nobody holds a turn or waits for one.
  bool idle() const { return state_.use_count() == 1; }

 private:
  static Task<Turn> take_turn(std::shared_ptr<State> state) {
    while (state->busy) {
      state->free.reset();
      co_await state->free.wait();
    }
    co_return Turn(state);
  }
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

}  // namespace estiba
