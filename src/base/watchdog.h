// Watchdog: one deadline that moves often. The timer is armed once and looks at the deadline when it fires, so that moving the
// deadline on costs no timer. Belongs to the executor that runs when a deadline is first set.
#pragma once
#include "base/executor.h"

namespace estiba {

class Watchdog {
 public:
  explicit Watchdog(UniqueFunction<void()> expired) : expired_(std::move(expired)) {}
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  void within(Duration limit) { until(Executor::current()->now() + limit); }
  void until(Instant deadline);
  void off() { deadline_ = Instant::max(); }

 private:
  void fire();
  UniqueFunction<void()> expired_;
  Instant deadline_ = Instant::max(), armed_ = Instant::max();
  Executor::Timer timer_;
  Executor* executor_ = nullptr;  // of the timer
};

}  // namespace estiba
