#include "volume/directory.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "os/file.h"
#include "os/mount.h"

namespace estiba::volume {
namespace {

struct Directory : testing::Test {
  std::string dir;
  void SetUp() override {
    char name[] = "/tmp/estiba-volume-XXXXXX";
    dir = mkdtemp(name);
  }
  void TearDown() override { (void)remove_dir_tree(dir); }
};

TEST_F(Directory, EmptyDirsAreWritableByAllAndKeepTheirContent) {
  ASSERT_TRUE(make_empty_dir(dir + "/a", 1234));
  auto stat = os::stat_file(dir + "/a");
  EXPECT_EQ(stat->st_mode & 07777, 02777u);
  EXPECT_EQ(stat->st_gid, 1234u);
  ASSERT_TRUE(os::write_file(dir + "/a/x", "1", O_CREAT));
  ASSERT_TRUE(make_empty_dir(dir + "/a", 1234));
  EXPECT_TRUE(os::exists(dir + "/a/x"));
}

TEST_F(Directory, MemoryDirsAreMountedOnceAndGoAway) {
  ASSERT_TRUE(make_memory_dir(dir + "/m", 1 << 20, std::nullopt));
  ASSERT_TRUE(make_memory_dir(dir + "/m", 1 << 20, std::nullopt));
  EXPECT_EQ(*os::is_mount_point(dir + "/m"), true);
  EXPECT_EQ(os::disk_space(dir + "/m")->total_bytes, 1u << 20);
  ASSERT_TRUE(make_memory_dir(dir + "/any", 0, std::nullopt));
  // What the kernel takes elsewhere, it has been told here.
  ASSERT_TRUE(os::make_dirs(dir + "/probe"));
  const bool knows = os::mount("tmpfs", dir + "/probe", "tmpfs", 0, "noswap").has_value();
  for (const os::MountInfo& mount : *os::read_mountinfo())
    if (mount.mount_point == dir + "/m" || mount.mount_point == dir + "/any")
      EXPECT_EQ(mount.super_options.contains("noswap"), knows) << mount.super_options;
  for (const char* name : {"/any", "/probe"}) ASSERT_TRUE(remove_dir_tree(dir + name));
  ASSERT_TRUE(remove_dir_tree(dir + "/m"));
  EXPECT_FALSE(os::exists(dir + "/m"));
}

TEST_F(Directory, HostPathTypesAreChecked) {
  EXPECT_TRUE(check_host_path(dir + "/none", ""));
  EXPECT_EQ(check_host_path(dir + "/none", "Directory").error().message, "hostPath type check failed: " + dir + "/none is not a directory");
  EXPECT_TRUE(check_host_path(dir + "/made", "DirectoryOrCreate"));
  EXPECT_TRUE(check_host_path(dir + "/made", "Directory"));
  EXPECT_FALSE(check_host_path(dir + "/made", "File"));
  EXPECT_TRUE(check_host_path("/dev/null", "CharDevice"));
}

TEST_F(Directory, SubPathsStayInside) {
  ASSERT_TRUE(os::make_dirs(dir + "/v/real"));
  ASSERT_TRUE(os::make_symlink("/etc", dir + "/v/out"));
  ASSERT_TRUE(os::make_symlink("real", dir + "/v/in"));
  EXPECT_EQ(*resolve_sub_path(dir + "/v", "in", false), dir + "/v/real");
  EXPECT_EQ(*resolve_sub_path(dir + "/v", "made/deep", true), dir + "/v/made/deep");
  EXPECT_FALSE(resolve_sub_path(dir + "/v", "../x", true));
  auto out = resolve_sub_path(dir + "/v", "out/passwd", false);
  EXPECT_TRUE(!out || out->starts_with(dir + "/v")) << *out;
}

TEST_F(Directory, FilesAreReadInsideTheVolumeAlone) {
  ASSERT_TRUE(os::make_dirs(dir + "/v"));
  ASSERT_TRUE(os::write_file(dir + "/secret", "hidden", O_CREAT));
  ASSERT_TRUE(os::write_file(dir + "/v/file", "seen", O_CREAT));
  ASSERT_TRUE(os::make_symlink("/file", dir + "/v/link"));
  ASSERT_TRUE(os::make_symlink("../secret", dir + "/v/out"));
  ASSERT_TRUE(os::make_fifo(dir + "/v/pipe", 0600));
  EXPECT_EQ(*read_file_in(dir + "/v", "file", 100), "seen");
  EXPECT_EQ(*read_file_in(dir + "/v", "link", 100), "seen");
  EXPECT_FALSE(read_file_in(dir + "/v", "out", 100));
  EXPECT_FALSE(read_file_in(dir + "/v", "pipe", 100));
  EXPECT_FALSE(read_file_in(dir + "/v", "file", 3));
}

}  // namespace
}  // namespace estiba::volume
