#include "node/resize.h"

#include <gtest/gtest.h>

namespace estiba::node {
namespace {

using namespace model::core_v1;

Container container(std::map<std::string, std::string> requests, std::map<std::string, std::string> limits) {
  Container out;
  out.name = "c";
  ResourceRequirements& resources = out.resources.ensure();
  resources.requests = std::move(requests);
  resources.limits = std::move(limits);
  return out;
}

TEST(Resize, RestartsForTheResourceWhosePolicySaysSo) {
  Container now = container({{"cpu", "1"}, {"memory", "1Gi"}}, {{"cpu", "2"}, {"memory", "1Gi"}});
  auto& policy = now.resizePolicy.emplace_back();
  policy.resourceName = "memory";
  policy.restartPolicy = "RestartContainer";
  EXPECT_FALSE(resize_restarts(now, given_resources(container({{"cpu", "500m"}, {"memory", "1Gi"}}, {{"memory", "1Gi"}}))));
  EXPECT_TRUE(resize_restarts(now, given_resources(container({{"cpu", "1"}, {"memory", "1Gi"}}, {{"cpu", "2"}, {"memory", "2Gi"}}))));
  EXPECT_TRUE(resize_restarts(now, given_resources(container({{"cpu", "1"}}, {{"cpu", "2"}, {"memory", "1Gi"}}))));
}

TEST(Resize, WhatTheNodeDoesNotHaveIsInfeasible) {
  Pod pod;
  pod.spec.containers = {container({{"cpu", "1500m"}, {"memory", "1Gi"}}, {}), container({{"cpu", "600m"}}, {})};
  EXPECT_EQ(infeasible(pod, 4000, int64_t{8} << 30), "");
  EXPECT_EQ(infeasible(pod, 2000, int64_t{8} << 30), "Node didn't have enough capacity: cpu, requested: 2100, capacity: 2000");
  EXPECT_NE(infeasible(pod, 4000, 1 << 20), "");
}

TEST(Resize, TheGroupHoldsBothBeforeAndAfter) {
  engine::Resources a, b;
  a.cpu_shares = 100;
  a.cpu_quota_us = 50'000;
  a.memory_bytes = 1000;
  b.cpu_shares = 50;
  b.memory_bytes = 2000;
  const engine::Resources both = larger(a, b);
  EXPECT_EQ(both.cpu_shares, 100u);
  EXPECT_EQ(both.cpu_quota_us, -1);  // one of them is not limited
  EXPECT_EQ(both.memory_bytes, 2000);
}

}  // namespace
}  // namespace estiba::node
