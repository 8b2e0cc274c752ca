#include "node/user_ids.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>

namespace estiba::node {
namespace {

constexpr uint32_t per_pod = 65536;

struct UserIdsTest : testing::Test {
  std::string dir = testing::TempDir() + "estiba-user-ids-" + std::to_string(getpid());
  ~UserIdsTest() override {
    std::error_code ignored;
    std::filesystem::remove_all(dir, ignored);
  }
  void SetUp() override { std::filesystem::create_directories(dir + "/pods"); }
  void put(const std::string& uid, const std::string& text) {
    std::filesystem::create_directories(dir + "/pods/" + uid);
    std::ofstream(dir + "/pods/" + uid + "/userns") << text;
  }
  static std::string mapping(uint32_t first, uint32_t size, uint32_t inside = 0) {
    const std::string list = R"([{"hostId":)" + std::to_string(first) + R"(,"containerId":)" + std::to_string(inside) + R"(,"length":)" +
                             std::to_string(size) + "}]";
    return R"({"uidMappings":)" + list + R"(,"gidMappings":)" + list + "}";
  }
};

TEST_F(UserIdsTest, EachPodHasARangeOfItsOwnUntilAllAreTaken) {
  UserIds ids(dir, per_pod);
  ASSERT_TRUE(ids.open(IdPool{per_pod, 3 * per_pod}));
  std::set<uint32_t> seen;
  for (const char* uid : {"a", "b", "c"}) {
    auto range = ids.take(uid);
    ASSERT_TRUE(range) << range.error().message;
    EXPECT_EQ(range->size, per_pod);
    EXPECT_EQ(range->first % per_pod, 0u);
    EXPECT_TRUE(seen.insert(range->first).second);
    EXPECT_EQ(ids.take(uid)->first, range->first) << "asked twice, the answer is the same";
  }
  EXPECT_FALSE(seen.contains(0));
  auto none = ids.take("d");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, Code::exhausted);
  EXPECT_NE(none.error().message.find("spec.hostUsers"), std::string::npos);
  const uint32_t freed = ids.take("b")->first;
  ids.release("b");
  ids.release("unknown");
  EXPECT_FALSE(std::filesystem::exists(dir + "/pods/b/userns"));
  EXPECT_EQ(ids.take("d")->first, freed);
}

TEST_F(UserIdsTest, ARestartFindsThemAgain) {
  uint32_t first = 0;
  {
    UserIds ids(dir, per_pod);
    ASSERT_TRUE(ids.open(IdPool{per_pod, 10 * per_pod}));
    (void)ids.take("gone");
    first = ids.take("stays")->first;
    ids.release("gone");
  }
  UserIds ids(dir, per_pod);
  ASSERT_TRUE(ids.open(IdPool{per_pod, 10 * per_pod}));
  EXPECT_EQ(ids.take("new")->first, per_pod);
  EXPECT_EQ(ids.take("stays")->first, first);
  EXPECT_NE(ids.take("another")->first, first);
}

TEST_F(UserIdsTest, RangesOfOtherSizesAndPlacesAreNeverOverlapped) {
  // Written when pods had more ids, and one of a pool that is no longer this one.
  put("large", mapping(2 * per_pod, 4 * per_pod));
  put("far", mapping(100 * per_pod, per_pod));
  UserIds ids(dir, per_pod);
  ASSERT_TRUE(ids.open(IdPool{per_pod, 8 * per_pod}));
  EXPECT_EQ(ids.take("large")->size, 4 * per_pod);
  EXPECT_EQ(ids.take("far")->first, 100 * per_pod);
  EXPECT_EQ(ids.take("a")->first, per_pod);
  EXPECT_EQ(ids.take("b")->first, 6 * per_pod);
}

TEST_F(UserIdsTest, WhatCannotBeReadIsNotBelieved) {
  put("empty", "");
  put("zero", mapping(0, per_pod));
  put("shifted", mapping(per_pod, per_pod, 1));
  put("beyond", mapping(4294901760u, 131072));
  UserIds ids(dir, per_pod);
  ASSERT_TRUE(ids.open(IdPool{per_pod, 8 * per_pod}));
  EXPECT_EQ(ids.take("zero")->first, per_pod);
  EXPECT_EQ(ids.take("shifted")->first, 2 * per_pod);
}

TEST_F(UserIdsTest, ANodeWithoutThemTellsEveryPod) {
  UserIds ids(dir, per_pod);
  EXPECT_FALSE(ids.offered());
  auto refused = ids.take("a");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::unsupported);
  EXPECT_NE(refused.error().message.find("spec.hostUsers: false"), std::string::npos);
  UserIds odd(dir, 1000);
  EXPECT_EQ(odd.open(dir).error().code, Code::invalid);
}

TEST(IdPools, AreReadAsGetsubidsWritesThem) {
  auto pool = parse_subordinate_ids("0: kubelet 65536 7208960\n", per_pod);
  ASSERT_TRUE(pool) << pool.error().message;
  EXPECT_EQ(pool->first, 65536u);
  EXPECT_EQ(pool->count, 110u * 65536);
  for (const char* bad : {"", "0: kubelet 65536 7208960\n1: kubelet 10000000 65536\n", "0: kubelet 0 7208960", "0: kubelet 65537 65536",
                          "0: kubelet 65536 65535", "kubelet 65536", "0: kubelet 65536 4294967296"})
    EXPECT_FALSE(parse_subordinate_ids(bad, per_pod)) << bad;
  EXPECT_FALSE(parse_subordinate_ids("0: kubelet 65536 131072", 131072)) << "the first is no multiple";
}

}  // namespace
}  // namespace estiba::node
