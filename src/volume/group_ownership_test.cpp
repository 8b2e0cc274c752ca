#include "volume/group_ownership.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "os/file.h"
#include "volume/directory.h"

namespace estiba::volume {
namespace {

struct GroupOwnership : testing::Test {
  std::string dir;
  void SetUp() override {
    char name[] = "/tmp/estiba-volume-XXXXXX";
    dir = mkdtemp(name);
    ASSERT_TRUE(os::make_dirs(dir + "/v/sub", 0700));
    ASSERT_TRUE(os::write_file(dir + "/v/sub/file", "1", O_CREAT, 0600));
    ASSERT_TRUE(os::write_file(dir + "/v/tool", "1", O_CREAT, 0700));
    ASSERT_TRUE(os::write_file(dir + "/outside", "1", O_CREAT, 0600));
    ASSERT_TRUE(os::make_symlink("../outside", dir + "/v/link"));
  }
  void TearDown() override { (void)remove_dir_tree(dir); }
  std::string seen(const std::string& path) {
    const auto info = os::lstat_file(dir + "/" + path);
    char text[32];
    (void)snprintf(text, sizeof text, "%o:%u", unsigned(info->st_mode & 07777), unsigned(info->st_gid));
    return text;
  }
};

TEST_F(GroupOwnership, AllBelowIsTheGroupsAndSymlinksLeadNowhere) {
  EXPECT_TRUE(*give_to_group(dir + "/v", 1234, false, GroupChange::always));
  EXPECT_EQ(seen("v"), "2770:1234");
  EXPECT_EQ(seen("v/sub"), "2770:1234");
  EXPECT_EQ(seen("v/sub/file"), "660:1234");
  EXPECT_EQ(seen("v/tool"), "760:1234");
  EXPECT_EQ(os::lstat_file(dir + "/v/link")->st_gid, 1234u);
  EXPECT_EQ(seen("outside"), "600:0");
}

TEST_F(GroupOwnership, AReadOnlyVolumeIsReadableByTheGroup) {
  EXPECT_TRUE(*give_to_group(dir + "/v", 1234, true, GroupChange::always));
  EXPECT_EQ(seen("v/sub"), "2750:1234");
  EXPECT_EQ(seen("v/sub/file"), "640:1234");
}

TEST_F(GroupOwnership, OnRootMismatchWalksOnlyWhenTheRootIsNotYetSo) {
  EXPECT_TRUE(*give_to_group(dir + "/v", 1234, false, GroupChange::on_root_mismatch));
  ASSERT_TRUE(os::change_owner(dir + "/v/sub/file", 0, 0));
  EXPECT_FALSE(*give_to_group(dir + "/v", 1234, false, GroupChange::on_root_mismatch));
  EXPECT_EQ(seen("v/sub/file"), "660:0");
  EXPECT_TRUE(*give_to_group(dir + "/v", 1235, false, GroupChange::on_root_mismatch));
  EXPECT_EQ(seen("v/sub/file"), "660:1235");
  ASSERT_TRUE(os::change_mode(dir + "/v", 0770));  // without the set-group-ID bit
  EXPECT_TRUE(*give_to_group(dir + "/v", 1235, false, GroupChange::on_root_mismatch));
  ASSERT_TRUE(os::change_owner(dir + "/v/sub/file", 0, 0));
  EXPECT_TRUE(*give_to_group(dir + "/v", 1235, false, GroupChange::always));
  EXPECT_EQ(seen("v/sub/file"), "660:1235");
}

}  // namespace
}  // namespace estiba::volume
