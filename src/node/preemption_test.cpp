#include "node/preemption.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace estiba::node {
namespace {

using model::ObjectRef;

constexpr const char* guaranteed = "Guaranteed";
constexpr const char* burstable = "Burstable";
constexpr const char* best_effort = "BestEffort";

struct PreemptionTest : ::testing::Test {
  std::vector<Present> there;

  static ObjectRef object(const std::string& name, const std::string& qos, int priority, const std::string& annotations = "") {
    auto made = model::Object::parse(R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":")" + name +
                                     R"(","namespace":"x","annotations":{)" + annotations + R"(}},"spec":{"priority":)" +
                                     std::to_string(priority) + R"(,"containers":[{"name":"c"}]},"status":{"qosClass":")" + qos + R"("}})");
    EXPECT_TRUE(made);
    return {*made, 1};
  }
  static ObjectRef static_pod() { return object("static", burstable, 0, R"("kubernetes.io/config.source":"file")"); }
  void have(const std::string& name, const std::string& qos, const std::string& cpu, const std::string& memory = "0", int priority = 0) {
    there.push_back({object(name, qos, priority), {{"cpu", *model::Quantity::parse(cpu)}, {"memory", *model::Quantity::parse(memory)}}});
  }
  /// The names of those that go, or "none would do".
  std::string victims(const ObjectRef& pod, std::vector<std::pair<std::string, int64_t>> needs) {
    std::vector<Shortage> shortages;
    for (auto& [resource, missing] : needs) shortages.push_back({resource, missing, 0, 0});
    const auto chosen = victims_of(pod, there, shortages);
    if (!chosen) return "none would do";
    std::vector<std::string> names;
    for (const size_t i : *chosen) names.push_back(there[i].pod.meta().name);
    std::ranges::sort(names);
    std::string out;
    for (const std::string& name : names) out += (out.empty() ? "" : " ") + name;
    return out;
  }
};

TEST_F(PreemptionTest, CriticalPodsTakeTheRoomOfOthersAndOfLowerPriority) {
  const ObjectRef usual = object("a", burstable, 5), cluster = object("b", burstable, 2'000'000'000),
                  node = object("c", burstable, 2'000'001'000);
  EXPECT_TRUE(may_preempt(static_pod(), usual));
  EXPECT_FALSE(may_preempt(static_pod(), cluster));
  EXPECT_TRUE(may_preempt(node, cluster));
  EXPECT_FALSE(may_preempt(cluster, node));
  EXPECT_FALSE(may_preempt(usual, usual));
}

TEST_F(PreemptionTest, TheLowestClassesGoFirst) {
  have("g", guaranteed, "500m");
  have("b", burstable, "500m");
  have("e", best_effort, "0");
  EXPECT_EQ(victims(static_pod(), {}), "");
  EXPECT_EQ(victims(static_pod(), {{"cpu", 400}}), "b");
  EXPECT_EQ(victims(static_pod(), {{"cpu", 700}}), "b g");
  EXPECT_EQ(victims(static_pod(), {{"pods", 1}}), "e");
  EXPECT_EQ(victims(static_pod(), {{"pods", 2}}), "b e");
  EXPECT_EQ(victims(static_pod(), {{"cpu", 1001}}), "none would do");
  EXPECT_EQ(victims(static_pod(), {{"example.com/x", 1}}), "none would do");
}

TEST_F(PreemptionTest, AsFewAsCanBeAndOfThoseTheSmallest) {
  have("a", burstable, "100m", "100");
  have("b", burstable, "300m", "100");
  have("c", burstable, "400m", "50");
  EXPECT_EQ(victims(static_pod(), {{"cpu", 300}}), "c") << "which has less memory";
  EXPECT_EQ(victims(static_pod(), {{"cpu", 100}}), "c");
  EXPECT_EQ(victims(static_pod(), {{"memory", 80}}), "a");
  EXPECT_EQ(victims(static_pod(), {{"cpu", 500}}), "a c") << "the one that leaves the least, and then the smallest that does";
  EXPECT_EQ(victims(static_pod(), {{"cpu", 300}, {"memory", 100}}), "b");
}

// What a guaranteed pod gives back lets lower ones live.
TEST_F(PreemptionTest, WhoeverGoesSparesOthers) {
  have("g", guaranteed, "1", "1000");
  have("b1", burstable, "200m");
  have("b2", burstable, "200m");
  EXPECT_EQ(victims(static_pod(), {{"memory", 500}, {"cpu", 300}}), "g");
}

TEST_F(PreemptionTest, CriticalOnesAreNotAmongThem) {
  have("vital", burstable, "1", "0", 2'000'000'000);
  have("b", burstable, "100m");
  EXPECT_EQ(victims(static_pod(), {{"cpu", 100}}), "b");
  EXPECT_EQ(victims(static_pod(), {{"cpu", 200}}), "none would do");
  EXPECT_EQ(victims(object("n", burstable, 2'000'001'000), {{"cpu", 200}}), "vital");
}

}  // namespace
}  // namespace estiba::node
