#include "base/watchdog.h"

namespace estiba {

Watchdog::~Watchdog() {
  if (timer_.id) Executor::current()->cancel(timer_);
}

void Watchdog::until(Instant deadline) {
  deadline_ = deadline;
  if (deadline >= armed_) return;
  if (timer_.id) Executor::current()->cancel(timer_);
  armed_ = deadline;
  timer_ = Executor::current()->at(deadline, [this] { fire(); });
}

void Watchdog::fire() {
  timer_ = {};
  armed_ = Instant::max();
  if (deadline_ == Instant::max()) return;
  if (Executor::current()->now() < deadline_) return until(deadline_);
  expired_();
}

}  // namespace estiba
