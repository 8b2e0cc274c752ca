#include "apiserver/fan_out.h"

#include <utility>

namespace estiba::apiserver {

FanOut::Turn::~Turn() {
  const std::lock_guard lock(fan_out_->mutex_);
  if (queued_) fan_out_->unlink(*this);
}

void FanOut::Turn::ring() { fan_out_->enqueue(*this); }

bool FanOut::Turn::await_suspend(std::coroutine_handle<> handle) {
  if (std::exchange(come_, false)) return false;
  waiting_ = handle;
  return true;
}

void FanOut::enqueue(Turn& turn) {
  {
    const std::lock_guard lock(mutex_);
    if (turn.queued_) return;
    turn.queued_ = true;
    turn.previous_ = last_;
    (last_ ? last_->next_ : first_) = &turn;
    last_ = &turn;
    if (std::exchange(posted_, true)) return;
  }
  post();
}

void FanOut::unlink(Turn& turn) {
  (turn.previous_ ? turn.previous_->next_ : first_) = turn.next_;
  (turn.next_ ? turn.next_->previous_ : last_) = turn.previous_;
  turn.next_ = turn.previous_ = nullptr;
  turn.queued_ = false;
}

FanOut::Turn* FanOut::pop() {
  const std::lock_guard lock(mutex_);
  Turn* turn = first_;
  if (turn) unlink(*turn);
  else posted_ = false;
  return turn;
}

void FanOut::post() {
  executor_.post([self = shared_from_this()] { self->serve(); });
}

void FanOut::serve() {
  const Instant end = executor_.now() + slice;
  while (Turn* turn = pop()) {
    if (auto waiting = std::exchange(turn->waiting_, {})) waiting.resume();
    else turn->come_ = true;
    if (executor_.now() >= end) return post();
  }
}

}  // namespace estiba::apiserver
