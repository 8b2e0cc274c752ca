#include "node/resources.h"

#include <gtest/gtest.h>

#include "node/machine.h"

namespace estiba::node {
namespace {

using namespace model::core_v1;
using List = std::map<std::string, std::string>;

constexpr int64_t mib = 1 << 20;

Container container(const std::string& name, List requests, List limits) {
  Container out;
  out.name = name;
  ResourceRequirements& resources = out.resources.ensure();
  resources.requests = std::move(requests);
  resources.limits = std::move(limits);
  return out;
}

struct Resources : testing::Test {
  Pod pod;
  Resources() {
    pod.spec.containers = {container("a", {{"cpu", "100m"}, {"memory", "64Mi"}}, {{"memory", "128Mi"}}), container("b", {}, {})};
  }
  void of_pod(List requests, List limits) {
    pod.spec.resources.ensure().requests = std::move(requests);
    pod.spec.resources->limits = std::move(limits);
  }
};

TEST_F(Resources, ThePodsOwnDecideItsGroupAndItsClass) {
  EXPECT_FALSE(pod_resources(pod).memory_bytes);  // one container has no limit
  EXPECT_EQ(qos_class(pod), "Burstable");
  of_pod({{"cpu", "1"}, {"memory", "256Mi"}}, {{"cpu", "1"}, {"memory", "256Mi"}});
  EXPECT_EQ(qos_class(pod), "Guaranteed");
  EXPECT_EQ(pod_resources(pod).memory_bytes, 256 * mib);
  EXPECT_EQ(pod_resources(pod).cpu_quota_us, 100'000);
  EXPECT_EQ(pod_resources(pod).cpu_shares, 1024u);
  EXPECT_EQ(container_resources(pod, pod.spec.containers[0]).memory_bytes, 128 * mib);
  EXPECT_EQ(container_resources(pod, pod.spec.containers[1]).memory_bytes, 256 * mib);
  EXPECT_EQ(container_resources(pod, pod.spec.containers[0]).cpu_quota_us, 100'000);
  EXPECT_EQ(container_resources(pod, pod.spec.containers[0]).cpu_shares, 102u);
  EXPECT_EQ(shown_resources(pod).limits, (List{{"cpu", "1"}, {"memory", "256Mi"}}));
  pod.status.qosClass = "Burstable";  // what was decided at the pod's start stays
  EXPECT_EQ(qos_class(pod), "Burstable");
}

TEST_F(Resources, TheOverheadIsAddedToWhatThereIs) {
  pod.spec.containers = {container("a", {{"cpu", "100m"}, {"memory", "64Mi"}}, {{"memory", "128Mi"}})};
  pod.spec.overhead = {{"cpu", "900m"}, {"memory", "2Mi"}};
  EXPECT_EQ(pod_resources(pod).cpu_shares, 1024u);
  EXPECT_EQ(pod_resources(pod).memory_bytes, 130 * mib);
  EXPECT_FALSE(pod_resources(pod).cpu_quota_us);
  EXPECT_EQ(container_resources(pod, pod.spec.containers[0]).memory_bytes, 128 * mib);
  EXPECT_EQ(shown_resources(pod).requests, (List{{"cpu", "1"}, {"memory", "66Mi"}}));
  pod.spec.containers = {container("a", {}, {})};
  EXPECT_EQ(qos_class(pod), "BestEffort");
  EXPECT_EQ(pod_resources(pod).cpu_shares, 2u);
}

TEST_F(Resources, HugePagesAreLimitedToWhatIsAskedForOfEachSize) {
  const std::vector<HugePages> sizes = huge_pages();
  if (sizes.empty()) GTEST_SKIP() << "the kernel has no huge pages";
  const std::string name = huge_page_resource(sizes[0].page_bytes), quantity = std::to_string(4 * sizes[0].page_bytes);
  const auto limits = [](const engine::Resources& resources) {
    std::vector<uint64_t> out;
    for (const auto& [size, bytes] : resources.huge_pages) out.push_back(bytes);
    return out;
  };
  std::vector<uint64_t> wanted(sizes.size(), 0);
  // A pod without any says so once for all of it.
  EXPECT_EQ(limits(pod_resources(pod)), wanted);
  EXPECT_TRUE(container_resources(pod, pod.spec.containers[0]).huge_pages.empty());
  pod.spec.containers[0].resources->limits[name] = pod.spec.containers[0].resources->requests[name] = quantity;
  EXPECT_EQ(limits(container_resources(pod, pod.spec.containers[1])), wanted);
  wanted[0] = 4 * sizes[0].page_bytes;
  EXPECT_EQ(limits(container_resources(pod, pod.spec.containers[0])), wanted);
  EXPECT_EQ(limits(pod_resources(pod)), wanted);
  if (sizes[0].page_bytes == 2 << 20) EXPECT_EQ(pod_resources(pod).huge_pages[0].first, "2MB");
}

TEST_F(Resources, SidecarsCountWithTheContainersAndOtherInitContainersWhenTheyAskForMore) {
  pod.spec.containers = {container("a", {{"cpu", "100m"}}, {})};
  pod.spec.initContainers = {container("side", {{"cpu", "200m"}}, {}), container("init", {{"cpu", "300m"}}, {})};
  pod.spec.initContainers[0].restartPolicy = "Always";
  EXPECT_EQ(whole_pod(pod, "requests")["cpu"].to_milli(), 500);
}

TEST_F(Resources, WhatThePodAsksForBeyondItsContainersIsSharedOut) {
  constexpr int64_t machine = 1000 * mib;
  EXPECT_EQ(oom_score_adj(pod, pod.spec.containers[0], machine), 1000 - 64);
  EXPECT_EQ(oom_score_adj(pod, pod.spec.containers[1], machine), 999);
  of_pod({{"memory", "264Mi"}}, {});
  EXPECT_EQ(oom_score_adj(pod, pod.spec.containers[0], machine), 1000 - 164);
  EXPECT_EQ(oom_score_adj(pod, pod.spec.containers[1], machine), 1000 - 100);
  pod.spec.initContainers = {container("side", {}, {})};
  pod.spec.initContainers[0].restartPolicy = "Always";
  of_pod({}, {});
  pod.spec.containers[1] = container("b", {{"memory", "500Mi"}}, {});
  EXPECT_EQ(oom_score_adj(pod, pod.spec.initContainers[0], machine), 1000 - 64);
  pod.spec.priorityClassName = "system-node-critical";
  EXPECT_EQ(oom_score_adj(pod, pod.spec.containers[0], machine), -997);
}

}  // namespace
}  // namespace estiba::node
