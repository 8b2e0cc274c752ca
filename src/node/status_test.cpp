#include "node/status.h"

#include <gtest/gtest.h>

#include "base/time.h"
#include "model/codec.h"
#include "node/resources.h"

namespace estiba::node {
namespace {

using namespace model::core_v1;
using engine::ContainerState;

struct Status : testing::Test {
  Pod pod;
  PodFacts facts;
  WallTime now{std::chrono::seconds(1'800'000'000)};

  Status() {
    pod.spec.restartPolicy = "Always";
    pod.spec.containers.emplace_back().name = "web";
    facts.sandbox_ready = true;
  }
  ContainerFacts& container(const std::string& name, ContainerState state, int exit = 0) {
    ContainerFacts& c = facts.containers[name];
    c.current.emplace();
    c.current->id = name + "-id";
    c.current->state = state;
    c.current->exit_code = exit;
    return c;
  }
  PodStatus compute() { return compute_status(pod, facts, now); }
  std::string condition(const PodStatus& status, const std::string& type) {
    for (const auto& c : status.conditions)
      if (c.type == type) return c.status + (c.reason.empty() ? "" : " " + c.reason);
    return "none";
  }
};

TEST_F(Status, PendingUntilStartedThenRunningThenReady) {
  EXPECT_EQ(compute().phase, "Pending");
  EXPECT_EQ(compute().containerStatuses[0].state->waiting->reason, "ContainerCreating");
  ContainerFacts& web = container("web", ContainerState::running);
  web.started = true;
  PodStatus status = compute();
  EXPECT_EQ(status.phase, "Running");
  EXPECT_EQ(condition(status, "Ready"), "False ContainersNotReady");
  web.ready = true;
  EXPECT_EQ(condition(compute(), "Ready"), "True");
}

TEST_F(Status, TransitionTimesChangeWithTheStatusOnly) {
  container("web", ContainerState::running).ready = true;
  pod.status = compute();
  now += std::chrono::seconds(100);
  EXPECT_EQ(model::encode(compute()), model::encode(pod.status));
  facts.containers["web"].ready = false;
  for (const auto& c : compute().conditions)
    EXPECT_EQ(c.lastTransitionTime == format_rfc3339(now), c.type == "Ready" || c.type == "ContainersReady") << c.type;
}

TEST_F(Status, WhatOthersTellOfThePodStays) {
  pod.status.nominatedNodeName = "n";
  pod.status.resourceClaimStatuses.push_back({.name = "gpu", .resourceClaimName = "p-gpu-x"});
  const PodStatus status = compute();
  EXPECT_EQ(status.nominatedNodeName, "n");
  ASSERT_EQ(status.resourceClaimStatuses.size(), 1u);
  EXPECT_EQ(status.resourceClaimStatuses[0].resourceClaimName, "p-gpu-x");
}

TEST_F(Status, CrashLoopShowsTheExitAsLastState) {
  ContainerFacts& web = container("web", ContainerState::exited, 3);
  web.waiting_reason = "CrashLoopBackOff";
  web.restarts = 2;
  const PodStatus status = compute();
  EXPECT_EQ(status.phase, "Running");
  EXPECT_EQ(status.containerStatuses[0].state->waiting->reason, "CrashLoopBackOff");
  EXPECT_EQ(status.containerStatuses[0].lastState->terminated->exitCode, 3);
  EXPECT_EQ(status.containerStatuses[0].lastState->terminated->reason, "Error");
  EXPECT_EQ(status.containerStatuses[0].restartCount, 2);
}

TEST_F(Status, EndedPodsByRestartPolicy) {
  container("web", ContainerState::exited, 0);
  EXPECT_EQ(phase_of(pod, facts), "Running");
  pod.spec.restartPolicy = "OnFailure";
  EXPECT_EQ(phase_of(pod, facts), "Succeeded");
  EXPECT_EQ(condition(compute(), "Ready"), "False PodCompleted");
  facts.containers["web"].current->exit_code = 1;
  EXPECT_EQ(phase_of(pod, facts), "Running");
  pod.spec.restartPolicy = "Never";
  EXPECT_EQ(phase_of(pod, facts), "Failed");
}

TEST_F(Status, InitContainersHoldThePodBack) {
  pod.spec.initContainers.emplace_back().name = "setup";
  pod.spec.initContainers.emplace_back().name = "more";
  container("setup", ContainerState::running);
  PodStatus status = compute();
  EXPECT_EQ(status.initContainerStatuses[1].state->waiting->reason, "PodInitializing");
  pod.spec.initContainers.pop_back();
  EXPECT_EQ(status.phase, "Pending");
  EXPECT_EQ(condition(status, "Initialized"), "False ContainersNotInitialized");
  EXPECT_EQ(status.containerStatuses[0].state->waiting->reason, "PodInitializing");
  container("setup", ContainerState::exited, 0);
  status = compute();
  EXPECT_EQ(condition(status, "Initialized"), "True");
  EXPECT_TRUE(status.initContainerStatuses[0].ready);
  container("setup", ContainerState::exited, 1);
  pod.spec.restartPolicy = "Never";
  EXPECT_EQ(compute().phase, "Failed");
}

TEST_F(Status, OOMKilledIsNamed) {
  container("web", ContainerState::exited, 137).current->oom_killed = true;
  EXPECT_EQ(compute().containerStatuses[0].state->terminated->reason, "OOMKilled");
}

TEST_F(Status, QosClasses) {
  EXPECT_EQ(qos_class(pod), "BestEffort");
  auto& resources = pod.spec.containers[0].resources.ensure();
  resources.requests = {{"cpu", "1"}};
  EXPECT_EQ(qos_class(pod), "Burstable");
  resources.limits = {{"cpu", "1"}, {"memory", "1Gi"}};
  EXPECT_EQ(qos_class(pod), "Guaranteed");
}

TEST_F(Status, AnEndedPodKeepsWhatTheApiKnowsWhenTheNodeHasForgottenIt) {
  container("web", ContainerState::exited, 3);
  facts.pod_ips = {"10.42.0.7"};
  facts.failed_reason = "DeadlineExceeded";
  pod.status = compute();
  facts.containers.clear();
  facts.pod_ips.clear();
  const PodStatus status = compute();
  EXPECT_EQ(status.podIP, "10.42.0.7");
  ASSERT_TRUE(status.containerStatuses[0].state->terminated);
  EXPECT_EQ(status.containerStatuses[0].state->terminated->exitCode, 3);
}

TEST_F(Status, ARunningContainerLostWithTheNodeCountsAsKilledOnceThePodIsOver) {
  container("web", ContainerState::running).ready = true;
  pod.status = compute();
  facts.containers.clear();
  facts.failed_reason = "ContainerStatusUnknown";
  const PodStatus status = compute();
  ASSERT_TRUE(status.containerStatuses[0].state->terminated);
  EXPECT_FALSE(status.containerStatuses[0].state->running);
  EXPECT_EQ(status.containerStatuses[0].state->terminated->exitCode, 137);
  EXPECT_FALSE(status.containerStatuses[0].ready);
}

}  // namespace
}  // namespace estiba::node
