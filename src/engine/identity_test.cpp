#include "engine/identity.h"

#include <gtest/gtest.h>

#include "engine/engine.h"

namespace estiba::engine {
namespace {

constexpr std::string_view passwd =
    "root:x:0:0:root:/root:/bin/bash\n"
    "www-data:x:33:33:www:/var/www:/usr/sbin/nologin\n"
    "app:x:1000:1001::/home/app:/bin/sh\n"
    "broken line\n";
constexpr std::string_view group =
    "root:x:0:\n"
    "www-data:x:33:\n"
    "app:x:1001:\n"
    "video:x:44:www-data,app\n"
    "audio:x:29:app\n";

Result<Identity> resolve(User user, std::string_view image_user = "") { return resolve_user(user, image_user, passwd, group); }

TEST(Identity, NobodyAskedForIsRoot) {
  auto id = resolve({});
  ASSERT_TRUE(id);
  EXPECT_EQ(id->uid, 0u);
  EXPECT_EQ(id->gid, 0u);
  EXPECT_EQ(id->home, "/root");
  EXPECT_EQ(resolve_user({}, "", "", "")->home, "/");
}

TEST(Identity, NamesAndNumbersAreLookedUpInTheImage) {
  auto id = resolve({}, "app");
  ASSERT_TRUE(id);
  EXPECT_EQ(id->uid, 1000u);
  EXPECT_EQ(id->gid, 1001u);
  EXPECT_EQ(id->home, "/home/app");
  EXPECT_EQ(id->groups, (std::vector<uint32_t>{29, 44, 1001}));
  EXPECT_EQ(resolve({}, "33")->gid, 33u);
  EXPECT_EQ(resolve({}, "app:video")->gid, 44u);
  EXPECT_EQ(resolve({}, "1234:99")->gid, 99u);
  EXPECT_EQ(resolve({}, "1234")->gid, 0u);
  EXPECT_EQ(resolve({.user = "www-data"}, "app")->uid, 33u);
  EXPECT_EQ(resolve({.uid = 1000}, "root")->gid, 1001u);
  EXPECT_EQ(resolve({.uid = 5, .gid = 6}, "")->gid, 6u);
}

TEST(Identity, SupplementaryGroupsAreAddedAndMayBeStrict) {
  EXPECT_EQ(resolve({.user = "app", .groups = {44, 7}})->groups, (std::vector<uint32_t>{7, 29, 44, 1001}));
  EXPECT_EQ(resolve({.user = "app", .groups = {7}, .groups_from_image = false})->groups, (std::vector<uint32_t>{7, 1001}));
}

TEST(Identity, WhatCannotBeIsAConfigurationError) {
  for (auto [user, image_user, text] : std::initializer_list<std::tuple<User, const char*, const char*>>{
           {{}, "nobody-here", "unable to find user nobody-here: no matching entries in passwd file"},
           {{}, "app:nogroup", "unable to find group nogroup: no matching entries in group file"},
           {{.must_not_be_root = true}, "", "runAsNonRoot and image will run as root"},
           {{.uid = 0, .must_not_be_root = true}, "", "breaks non-root policy"},
           {{.uid = -1}, "", "out of range"}}) {
    auto id = resolve(user, image_user);
    ASSERT_FALSE(id) << text;
    EXPECT_NE(id.error().message.find(text), std::string::npos) << id.error().message;
    EXPECT_EQ(id.error().details->reason, "CreateContainerConfigError");
  }
  EXPECT_TRUE(resolve({.must_not_be_root = true}, "app"));
}

}  // namespace
}  // namespace estiba::engine
