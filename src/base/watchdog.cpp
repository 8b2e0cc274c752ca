#include "base/watchdog.h"

namespace estiba {

Watchdog::~Watchdog() {
  if (timer_.id) executor_->cancel(timer_);
}

void Watchdog::until(Instant deadline) {
  deadline_ = deadline;
  if (deadline >= armed_) return;
  if (timer_.id) executor_->cancel(timer_);
  armed_ = deadline;
  executor_ = Executor::current();
  timer_ = executor_->at(deadline, [this] { fire(); });
}

void Watchdog::fire() {
  timer_ = {};
  armed_ = Instant::max();
  if (deadline_ == Instant::max()) return;
  if (Executor::current()->now() < deadline_) return until(deadline_);
  expired_();
}

}  // namespace estiba
