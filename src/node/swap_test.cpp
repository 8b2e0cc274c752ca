#include "node/swap.h"

#include <gtest/gtest.h>

namespace estiba::node {
namespace {

using namespace model::core_v1;
using List = std::map<std::string, std::string>;

constexpr int64_t gib = 1 << 30;

struct Swap : testing::Test {
  Pod pod;
  Swap() { set({{"memory", "64Mi"}}, {{"memory", "128Mi"}}); }
  void set(List requests, List limits) {
    pod.spec.containers = {{}};
    first().name = "a";
    first().resources.ensure().requests = std::move(requests);
    first().resources->limits = std::move(limits);
  }
  Container& first() { return pod.spec.containers[0]; }
  bool may() { return may_swap(pod, first()); }
  std::optional<int64_t> limit(bool limited) {
    Options options;
    options.limited_swap = limited;
    engine::Resources out;
    limit_swap(out, options, pod, first());
    return out.swap_bytes;
  }
};

TEST_F(Swap, IsForContainersOfBurstablePodsThatAskForLessThanTheirLimit) {
  EXPECT_TRUE(may());
  set({{"memory", "64Mi"}}, {});
  EXPECT_TRUE(may());
  set({{"memory", "64Mi"}, {"cpu", "1"}}, {{"memory", "65536Ki"}});
  EXPECT_FALSE(may()) << "the limit is what is asked for";
  set({{"cpu", "1"}}, {});
  EXPECT_FALSE(may()) << "no memory is asked for";
  set({}, {});
  EXPECT_FALSE(may()) << "BestEffort";
  set({{"memory", "64Mi"}, {"cpu", "1"}}, {{"memory", "64Mi"}, {"cpu", "1"}});
  EXPECT_FALSE(may()) << "Guaranteed";
}

TEST_F(Swap, IsNotForCriticalPods) {
  pod.spec.priority = 1'999'999'999;
  EXPECT_TRUE(may());
  pod.spec.priority = 2'000'000'000;
  EXPECT_FALSE(may());
  pod.spec.priority = 0;
  pod.metadata.annotations["kubernetes.io/config.source"] = "file";
  EXPECT_FALSE(may());
}

TEST_F(Swap, IsSharedOutByWhatIsAskedForOfTheMemory) {
  EXPECT_EQ(share_of_swap(gib, 8 * gib, 4 * gib), gib / 2);
  EXPECT_EQ(share_of_swap(8 * gib, 8 * gib, 4 * gib), 4 * gib);
  EXPECT_EQ(share_of_swap(9 * gib, 8 * gib, 4 * gib), 0);
  EXPECT_EQ(share_of_swap(0, 8 * gib, 4 * gib), 0);
  EXPECT_EQ(share_of_swap(gib, 8 * gib, 0), 0);
}

TEST_F(Swap, IsNoneUnlessTheNodeGivesSome) {
  EXPECT_EQ(limit(false), 0);
  EXPECT_TRUE(limit(true).has_value());
  set({}, {});
  EXPECT_EQ(limit(true), 0);
  engine::Resources whole;
  Options options;
  limit_swap_of_pod(whole, options);
  EXPECT_FALSE(whole.swap_bytes);
  options.limited_swap = true;
  limit_swap_of_pod(whole, options);
  EXPECT_EQ(whole.swap_bytes, -1);
}

TEST_F(Swap, OfARunningContainerIsNotChanged) {
  Pod after = pod;
  EXPECT_FALSE(resizes_swap(pod, after));
  after.spec.containers[0].resources->requests["memory"] = "96Mi";
  EXPECT_TRUE(resizes_swap(pod, after));
  after.spec.containers[0].resizePolicy = {{}};
  after.spec.containers[0].resizePolicy[0].resourceName = "memory";
  after.spec.containers[0].resizePolicy[0].restartPolicy = "RestartContainer";
  EXPECT_FALSE(resizes_swap(pod, after)) << "it begins anew";
  after = pod;
  after.spec.containers[0].resources->limits["cpu"] = "1";
  EXPECT_FALSE(resizes_swap(pod, after)) << "the swap stays";
}

}  // namespace
}  // namespace estiba::node
