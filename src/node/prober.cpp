#include "node/prober.h"

#include <algorithm>

namespace estiba::node {

using namespace std::chrono_literals;

static Duration seconds(std::optional<int32_t> value, int32_t otherwise, int32_t least) {
  return std::chrono::seconds(std::max(value.value_or(otherwise), least));
}

Prober::Prober(Executor& loop, ProbeKind kind, const model::core_v1::Probe& spec, Check check, bool initially, Verdict verdict,
               Failure failure, Counted counted)
    : loop_(loop),
      kind_(kind),
      initial_delay_(seconds(spec.initialDelaySeconds, 0, 0)),
      period_(seconds(spec.periodSeconds, 10, 1)),
      timeout_(seconds(spec.timeoutSeconds, 1, 1)),
      successes_needed_(std::max(spec.successThreshold.value_or(1), 1)),
      failures_needed_(std::max(spec.failureThreshold.value_or(3), 1)),
      check_(std::move(check)),
      verdict_(std::move(verdict)),
      failure_(std::move(failure)),
      counted_(std::move(counted)),
      healthy_(initially) {
  job_ = Job(run(this));
}

// A check keeps to its time by itself, and then ends what it has begun (a command is killed). This is for one that cannot.
Task<CheckResult> Prober::check_once() {
  constexpr Duration to_end = 2s;
  auto result = co_await with_timeout(timeout_ + to_end, check_());
  if (!result) co_return CheckResult{false, "no answer within " + std::to_string(timeout_ / 1s) + "s"};
  co_return std::move(*result);
}

Task<void> Prober::run(Prober* self) {
  if (self->initial_delay_ > 0s) co_await sleep_for(self->initial_delay_);
  int successes = 0, failures = 0;
  // Checks before the first success, between those that count; the first that counts comes after a period then.
  const bool waits = self->kind_ != ProbeKind::liveness && !self->healthy_;
  Duration eager = waits ? Duration(10ms) : Duration::max();
  Instant counted = self->loop_.now() + (waits ? self->period_ : Duration{});
  for (;;) {
    const bool counts = self->loop_.now() >= counted;
    if (counts) counted += self->period_;
    const Instant begun = self->loop_.now();
    const CheckResult result = co_await self->check_once();
    if (self->counted_ && (result.ok || counts)) self->counted_(result.ok, self->loop_.now() - begun);
    if (result.ok) {
      ++successes;
      failures = 0;
      eager = Duration::max();
      if (successes >= self->successes_needed_ && !self->healthy_) {
        self->healthy_ = true;
        self->verdict_(true, "");
        if (self->kind_ == ProbeKind::startup) co_return;
      }
    } else if (counts) {
      successes = 0;
      ++failures;
      self->failure_(result.message);
      if (failures >= self->failures_needed_ && (self->healthy_ || self->kind_ != ProbeKind::readiness)) {
        self->healthy_ = false;
        failures = 0;
        self->verdict_(false, result.message);
      }
    }
    const Instant now = self->loop_.now();
    counted = std::max(counted, now);
    Instant next = counted;
    if (eager < self->period_) {
      next = std::min(next, now + eager);
      eager *= 2;
    }
    co_await sleep_until(next);
  }
}

}  // namespace estiba::node
