// How long a failing container or image waits before the next try: 10 s, doubled each time, at most 5 minutes, and forgotten
// after 10 minutes without failure (kubelet's crash-loop and image-pull back-off).
#pragma once
#include "base/executor.h"

namespace estiba::node {

class Backoff {
 public:
  static constexpr Duration first = std::chrono::seconds(10), most = std::chrono::minutes(5), forget = std::chrono::minutes(10);

  /// A failure at `now`: the next try is allowed at once the first time, later after the doubled delay.
  void failed(Instant now) {
    if (last_ != Instant{} && now - last_ > forget + delay_) delay_ = {};
    next_ = now + delay_;
    delay_ = delay_ == Duration{} ? first : std::min(delay_ * 2, Duration(most));
    last_ = now;
  }
  /// The same, but already the first failure waits (image pulls).
  void failed_waiting(Instant now) {
    if (delay_ == Duration{}) delay_ = first;
    failed(now);
  }
  void reset() { *this = {}; }
  bool allowed(Instant now) const { return now >= next_; }
  Instant next() const { return next_; }
  /// What the wait in force is, for messages ("back-off 20s restarting failed container").
  Duration wait() const { return next_ - last_; }

 private:
  Duration delay_{};
  Instant next_{}, last_{};
};

}  // namespace estiba::node
