#include "ingress/health.h"

#include <algorithm>

namespace estiba::ingress {

void Health::failed(const EjectionRule& rule, Instant now) {
  const uint32_t failures = failures_.fetch_add(1, std::memory_order_relaxed) + 1;
  // What was under way when it was ejected says nothing new.
  if (rule.after == 0 || failures < rule.after || is_ejected(now)) return;
  const Duration last = last_ejection_.load(std::memory_order_relaxed);
  const Duration length = last == Duration(0) ? rule.first : std::min(last * 2, rule.longest);
  last_ejection_.store(length, std::memory_order_relaxed);
  ejected_until_.store((now + length).time_since_epoch(), std::memory_order_relaxed);
  failures_.store(0, std::memory_order_relaxed);
}

void Health::succeeded(Instant now) {
  if (failures_.load(std::memory_order_relaxed) > 0) failures_.store(0, std::memory_order_relaxed);
  // One that has been well for as long as it was passed over begins anew.
  const Duration last = last_ejection_.load(std::memory_order_relaxed);
  if (last > Duration(0) && now.time_since_epoch() > ejected_until_.load(std::memory_order_relaxed) + last)
    last_ejection_.store(Duration(0), std::memory_order_relaxed);
}

}  // namespace estiba::ingress
