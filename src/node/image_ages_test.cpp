#include "node/image_ages.h"

#include <gtest/gtest.h>

namespace estiba::node {
namespace {

using namespace std::chrono_literals;
using Ids = std::vector<std::string>;

WallTime at(Duration time) { return WallTime(std::chrono::hours(1000)) + time; }

TEST(ImageAges, TheLongestUnusedGoFirstAndYoungOnesStay) {
  ImageAges ages;
  ages.look({{"old"}, {"busy", true}, {"idle", true}}, at(0s));
  EXPECT_EQ(ages.removable(at(1min), 2min), Ids());
  EXPECT_EQ(ages.removable(at(2min), 2min), Ids{"old"});
  ages.look({{"old"}, {"busy", true}, {"idle", false}, {"new"}}, at(5min));
  EXPECT_EQ(ages.removable(at(6min), 2min), (Ids{"old", "idle"})) << "never used goes before used once; the new one is too young";
  EXPECT_EQ(ages.removable(at(7min), 2min), (Ids{"old", "new", "idle"}));
}

TEST(ImageAges, WhatIsUsedOrPinnedStays) {
  ImageAges ages;
  ages.look({{"used", true}, {"docker", false, true}, {"free"}}, at(0s));
  EXPECT_EQ(ages.removable(at(1h), 0s), Ids{"free"});
  EXPECT_EQ(ages.outdated(at(100h), 10h), Ids{"free"});
}

TEST(ImageAges, AgeCountsFromTheLastUse) {
  ImageAges ages;
  ages.look({{"a", true}, {"b", true}}, at(0s));
  ages.look({{"a", false}, {"b", true}}, at(1h));
  ages.look({{"a", false}, {"b", false}}, at(2h));
  EXPECT_EQ(ages.outdated(at(2h), 90min), Ids{"a"});
  ages.look({{"b", false}}, at(3h));
  ages.look({{"a", false}, {"b", false}}, at(4h));
  EXPECT_EQ(ages.removable(at(5h), 2h), Ids{"b"}) << "what went and came again is new";
}

}  // namespace
}  // namespace estiba::node
