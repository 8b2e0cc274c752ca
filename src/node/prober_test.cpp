#include "node/prober.h"

#include <gtest/gtest.h>

#include "base/fake_executor.h"
#include "node/backoff.h"

namespace estiba::node {
namespace {

using namespace std::chrono_literals;

struct Probes : testing::Test {
  FakeExecutor exec;
  bool up = false;
  int checks = 0, counted_failures = 0, counted = 0;
  std::vector<bool> verdicts;
  model::core_v1::Probe spec;

  static Task<CheckResult> check(Probes* self) {
    ++self->checks;
    co_return CheckResult{self->up, "down"};
  }
  std::unique_ptr<Prober> make(ProbeKind kind, bool initially) {
    return std::make_unique<Prober>(
        exec, kind, spec, [this] { return check(this); }, initially,
        [this](bool healthy, const std::string&) { verdicts.push_back(healthy); }, [this](const std::string&) { ++counted_failures; },
        [this](bool, Duration) { ++counted; });
  }
};

TEST_F(Probes, ReadinessIsSeenSoonAfterTheStartAndEagerFailuresDoNotCount) {
  spec.periodSeconds = 10;
  auto prober = make(ProbeKind::readiness, false);
  exec.advance(100ms);
  EXPECT_GE(checks, 3);
  EXPECT_EQ(counted_failures, 0);
  EXPECT_EQ(counted, 0);
  up = true;
  exec.advance(500ms);
  EXPECT_EQ(verdicts, std::vector<bool>{true});
  EXPECT_EQ(counted, 1);
  up = false;
  exec.advance(15s);
  EXPECT_EQ(verdicts.size(), 1u);  // two failures of three
  exec.advance(15s);
  EXPECT_EQ(verdicts, (std::vector<bool>{true, false}));
}

TEST_F(Probes, AStartThatNeverComesUpFailsAfterItsThreshold) {
  spec.periodSeconds = 10;
  spec.failureThreshold = 3;
  auto prober = make(ProbeKind::startup, false);
  exec.advance(29s);
  EXPECT_TRUE(verdicts.empty());
  exec.advance(2s);
  EXPECT_EQ(verdicts, std::vector<bool>{false});
  EXPECT_EQ(counted_failures, 3);
}

TEST_F(Probes, LivenessWaitsForTheThreshold) {
  spec.periodSeconds = 1;
  spec.failureThreshold = 2;
  spec.initialDelaySeconds = 5;
  auto prober = make(ProbeKind::liveness, true);
  exec.advance(4900ms);
  EXPECT_EQ(checks, 0);
  exec.advance(100ms);
  EXPECT_TRUE(verdicts.empty());
  exec.advance(1s);
  EXPECT_EQ(verdicts, std::vector<bool>{false});
}

TEST_F(Probes, ChecksThatHangFail) {
  spec.periodSeconds = 10;
  spec.failureThreshold = 1;
  Prober prober(
      exec, ProbeKind::liveness, spec,
      [] {
        return []() -> Task<CheckResult> {
          co_await sleep_for(1h);
          co_return CheckResult{true, {}};
        }();
      },
      true, [this](bool healthy, const std::string&) { verdicts.push_back(healthy); }, [](const std::string&) {});
  exec.advance(2999ms);  // a check has its own second, and two to end what it has begun
  EXPECT_TRUE(verdicts.empty());
  exec.advance(1ms);
  EXPECT_EQ(verdicts, std::vector<bool>{false});
}

TEST_F(Probes, StoppingAProbeLeavesNoTimer) {
  auto prober = make(ProbeKind::readiness, false);
  exec.advance(1s);
  prober.reset();
  EXPECT_EQ(exec.timers(), 0u);
}

TEST(Backoff, DoublesUpToFiveMinutesAndForgets) {
  Backoff backoff;
  Instant now{1h};
  backoff.failed(now);
  EXPECT_TRUE(backoff.allowed(now));
  for (Duration expected : {10s, 20s, 40s, 80s, 160s, 300s, 300s}) {
    backoff.failed(now);
    EXPECT_EQ(backoff.next() - now, expected);
    EXPECT_EQ(backoff.wait(), expected);
  }
  now += 1h;
  backoff.failed(now);
  EXPECT_TRUE(backoff.allowed(now));
}

}  // namespace
}  // namespace estiba::node
