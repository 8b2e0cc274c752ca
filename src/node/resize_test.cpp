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

TEST(Resize, AMemoryLimitBelowWhatIsUsedIsInTheWay) {
  EXPECT_EQ(memory_in_the_way({{.limit = 200, .before = 100, .used = 150}, {.container = "a", .limit = 100, .before = 50, .used = 60}}),
            "");
  EXPECT_EQ(memory_in_the_way({{.container = "a", .limit = 100, .before = 200, .used = 99}}), "");
  EXPECT_EQ(memory_in_the_way({{.container = "a", .limit = 100, .before = 200, .used = 100}}),
            "cannot decrease memory limits: attempting to set container \"a\" memory limit (100) below current usage (100)");
  EXPECT_EQ(memory_in_the_way({{.limit = 150, .used = 160}, {.container = "a", .limit = 100, .before = 200, .used = 160}}),
            "cannot decrease memory limits: [attempting to set pod memory limit (150) below current usage (160), "
            "attempting to set container \"a\" memory limit (100) below current usage (160)]");
}

TEST(Resize, EventsTellOfAllContainersAsTheKubeletDoes) {
  Pod pod;
  pod.spec.initContainers = {container({{"cpu", "100m"}}, {{"cpu", "200m"}})};
  pod.spec.containers = {container({}, {}), container({{"cpu", "200m"}, {"memory", "100"}}, {})};
  EXPECT_EQ(
      resize_message("started", pod, 2),
      R"(Pod resize started: {"initContainers":[{"name":"c","resources":{"limits":{"cpu":"200m"},"requests":{"cpu":"100m"}}}],)"
      R"("containers":[{"name":"c","resources":{}},{"name":"c","resources":{"requests":{"cpu":"200m","memory":"100"}}}],"generation":2})");
  pod.spec.initContainers.clear();
  pod.spec.containers.resize(1);
  EXPECT_EQ(resize_message("error", pod, 1, "why"),
            R"(Pod resize error: {"containers":[{"name":"c","resources":{}}],"generation":1,"error":"why"})");
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
