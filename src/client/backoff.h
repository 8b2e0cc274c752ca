// Exponential back-off with jitter, so that many who lost the same server do not come back at the same instant.
#pragma once
#include "base/executor.h"
#include "base/strings.h"

namespace estiba::client {

class Backoff {
 public:
  Backoff(Duration first, Duration longest) : first_(first), longest_(longest) {}

  /// The next pause: between half and the whole of first·2ⁿ, at most `longest`.
  Duration next() {
    const Duration whole = delay(first_, longest_, failures_++);
    return whole - whole / 512 * uint8_t(random_bytes(1)[0]);
  }
  void reset() { failures_ = 0; }

  /// first·2ⁿ, at most `longest`.
  static Duration delay(Duration first, Duration longest, int n) {
    for (; n > 0 && first < longest; --n) first *= 2;
    return first < longest ? first : longest;
  }

 private:
  Duration first_, longest_;
  int failures_ = 0;
};

}  // namespace estiba::client
