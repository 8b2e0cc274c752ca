// One probe of one container: runs the check on the spec's period and tells when the verdict changes.
//
// Until the first success of a startup or readiness probe, checks also run soon after the start (10 ms, then doubling up to
// the period), so that a container that is up is known to be up; these extra checks count for nothing when they fail.
#pragma once
#include <functional>
#include <string>

#include "base/task.h"
#include "model/types/core_v1.h"

namespace estiba::node {

enum class ProbeKind : unsigned char { startup, liveness, readiness };

struct CheckResult {
  bool ok = false;
  std::string message;  ///< what failed, worded as the kubelet's Unhealthy event
};
using Check = std::function<Task<CheckResult>()>;

class Prober {
 public:
  /// Called at each verdict: `healthy` after successThreshold successes, not after failureThreshold failures. Not called
  /// again for the same verdict, but for a failing startup or liveness probe. It must not destroy the prober.
  using Verdict = std::function<void(bool healthy, const std::string& message)>;
  /// Called at each counted failure (for the event).
  using Failure = std::function<void(const std::string& message)>;
  /// Called at each check that counts, with the time it took.
  using Counted = std::function<void(bool ok, Duration took)>;

  /// `initially` is the verdict in force before the first check. Checks start at once, after initialDelaySeconds.
  Prober(Executor& loop, ProbeKind kind, const model::core_v1::Probe& spec, Check check, bool initially, Verdict verdict, Failure failure,
         Counted counted = {});

 private:
  static Task<void> run(Prober* self);
  Task<CheckResult> check_once();

  Executor& loop_;
  const ProbeKind kind_;
  const Duration initial_delay_, period_, timeout_;
  const int successes_needed_, failures_needed_;
  const Check check_;
  const Verdict verdict_;
  const Failure failure_;
  const Counted counted_;
  bool healthy_;
  Job job_;  // last: ends first
};

}  // namespace estiba::node
