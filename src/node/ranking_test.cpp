#include "node/ranking.h"

#include <gtest/gtest.h>

namespace estiba::node {
namespace {

constexpr int64_t mi = 1 << 20;

model::ObjectRef pod(const std::string& name, int priority, const std::string& annotations = "") {
  auto made = model::Object::parse(R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":")" + name + R"(","annotations":{)" + annotations +
                                   R"(}},"spec":{"priority":)" + std::to_string(priority) + "}}");
  EXPECT_TRUE(made);
  return {*made, 1};
}

PodUse use(const std::string& name, int priority, int64_t memory, int64_t request = 0) {
  return {.pod = pod(name, priority), .known = true, .memory = memory, .memory_request = request};
}

std::string order(std::vector<PodUse> pods, Signal signal) {
  rank(pods, signal);
  std::string out;
  for (const PodUse& each : pods) out += each.pod.meta().name + " ";
  return out;
}

TEST(Ranking, MemoryByExcessThenPriorityThenUseAboveTheRequest) {
  EXPECT_EQ(order({use("within", 0, 5 * mi, 10 * mi), use("exceeds", 1000, 20 * mi, 10 * mi)}, Signal::memory_available),
            "exceeds within ");
  EXPECT_EQ(order({use("high", 10, 90 * mi), use("low", 1, 1 * mi)}, Signal::memory_available), "low high ");
  EXPECT_EQ(order({use("small", 0, 20 * mi, 10 * mi), use("large", 0, 100 * mi, 70 * mi)}, Signal::memory_available), "large small ");
  PodUse unread{.pod = pod("unread", 1000)};
  EXPECT_EQ(order({use("exceeds", 0, 20 * mi), unread}, Signal::memory_available), "unread exceeds ");
}

TEST(Ranking, ProcessesByPriorityThenNumber) {
  PodUse many{.pod = pod("many", 5), .known = true, .processes = 100}, few{.pod = pod("few", 1), .known = true, .processes = 2},
      more{.pod = pod("more", 1), .known = true, .processes = 3};
  EXPECT_EQ(order({many, few, more}, Signal::pid_available), "more few many ");
}

TEST(Ranking, DiskByBytesOrInodes) {
  PodUse bytes{.pod = pod("bytes", 0), .known = true, .disk = 100 * mi, .inodes = 2, .disk_request = 10 * mi},
      files{.pod = pod("files", 0), .known = true, .disk = mi, .inodes = 200};
  EXPECT_EQ(order({files, bytes}, Signal::nodefs_available), "bytes files ");
  EXPECT_EQ(order({bytes, files}, Signal::nodefs_inodes_free), "files bytes ");
}

TEST(Ranking, StaticPodsAndSystemPrioritiesAreCritical) {
  EXPECT_FALSE(is_critical(pod("a", 1'999'999'999)));
  EXPECT_TRUE(is_critical(pod("a", 2'000'000'000)));
  EXPECT_TRUE(is_critical(pod("a", 0, R"("kubernetes.io/config.source":"file")")));
}

TEST(Ranking, TheMessageIsKubernetes) {
  const auto thresholds = *parse_thresholds("memory.available<100Mi,nodefs.available<10%", "", "", "");
  PodUse one = use("a", 0, 30 * mi);
  one.containers = {{.name = "main", .memory = 20 * mi, .memory_request = 5 * mi},
                    {.name = "calm", .memory = mi, .memory_request = 5 * mi}};
  const Observations seen = {{Signal::memory_available, {50 * mi, 1000 * mi}}, {Signal::nodefs_available, {10 * mi, 1000 * mi}}};
  EXPECT_EQ(eviction_message(one, Signal::memory_available, thresholds, seen),
            "The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. Container main was using 20Mi, request is "
            "5Mi, has "
            "larger consumption of memory. ");
  EXPECT_EQ(eviction_message(one, Signal::nodefs_available, thresholds, seen),
            "The node was low on resource: ephemeral-storage. Threshold quantity: 100Mi, available: 10Mi. ");
  EXPECT_EQ(eviction_message(one, Signal::pid_available, {}, seen), "The node was low on resource: pids. ");
}

}  // namespace
}  // namespace estiba::node
