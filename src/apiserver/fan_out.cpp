#include "apiserver/fan_out.h"

#include <algorithm>
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
    ++queued_;
    if (std::exchange(posted_, true)) return;
  }
  post();
}

void FanOut::unlink(Turn& turn) {
  (turn.previous_ ? turn.previous_->next_ : first_) = turn.next_;
  (turn.next_ ? turn.next_->previous_ : last_) = turn.previous_;
  turn.next_ = turn.previous_ = nullptr;
  turn.queued_ = false;
  --queued_;
}

void FanOut::begin_round() {
  const std::lock_guard lock(mutex_);
  round_ = queued_;
}

FanOut::Turn* FanOut::pop() {
  const std::lock_guard lock(mutex_);
  if (round_ == 0 || !first_) return nullptr;
  --round_;
  Turn* turn = first_;
  unlink(*turn);
  return turn;
}

bool FanOut::stop_if_empty() {
  const std::lock_guard lock(mutex_);
  if (first_) return false;
  posted_ = false;
  return true;
}

void FanOut::post() {
  executor_.post([self = shared_from_this()] { self->serve(); });
}

void FanOut::serve() {
  const Instant begin = executor_.now();
  if (begin < rest_until_) {
    executor_.at(rest_until_, [self = shared_from_this()] { self->serve(); });
    return;
  }
  if (begin >= served_ + long_round) busy_ = {};
  const Duration before = busy_;
  for (Instant now = begin;;) {
    if (round_ == 0) begin_round();
    while (Turn* turn = pop()) {
      if (auto waiting = std::exchange(turn->waiting_, {})) waiting.resume();
      else turn->come_ = true;
      now = executor_.now();
      if (now >= begin + slice) break;
    }
    served_ = now;
    busy_ = before + (now - begin);
    if (round_ == 0 && busy_ >= long_round) {
      rest_until_ = now + std::min(busy_, longest_rest);
      busy_ = {};
    }
    if (stop_if_empty()) return;
    if (now < rest_until_ || now >= begin + slice) return post();
  }
}

}  // namespace estiba::apiserver
