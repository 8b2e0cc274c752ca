// What is known of how an endpoint has answered of late, by which the others are asked before it.
#pragma once
#include <atomic>

#include "base/executor.h"

namespace estiba::ingress {

/// Outlier ejection: how many failures in a row it takes, and for how long an endpoint is passed over then. Failures are answers from 500
/// on, and none at all.
struct EjectionRule {
  uint32_t after = 5;                         ///< 0: never
  Duration first = std::chrono::seconds(30);  ///< twice as long the second time, and so on
  Duration longest = std::chrono::seconds(300);
};

/// Any thread. Times are since the executors' epoch.
class Health {
 public:
  /// No connection could be made to it: it is asked last for a while.
  void unreachable(Instant now) { unreachable_until_.store((now + unreachable_for).time_since_epoch(), std::memory_order_relaxed); }
  void succeeded(Instant now);
  void failed(const EjectionRule& rule, Instant now);

  bool is_unreachable(Instant now) const { return now.time_since_epoch() < unreachable_until_.load(std::memory_order_relaxed); }
  bool is_ejected(Instant now) const { return now.time_since_epoch() < ejected_until_.load(std::memory_order_relaxed); }

 private:
  static constexpr Duration unreachable_for = std::chrono::seconds(10);
  std::atomic<Duration> unreachable_until_{}, ejected_until_{}, last_ejection_{};
  std::atomic<uint32_t> failures_{0};  // in a row
};

}  // namespace estiba::ingress
