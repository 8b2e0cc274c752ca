#include "os/file.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

#include "os/mount.h"
#include "os/namespace.h"

namespace estiba::os {
namespace {

class FileTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/estiba-os-test-XXXXXX";
    dir = mkdtemp(name);
  }
  void TearDown() override {
    auto removed = remove_all(dir);
    EXPECT_TRUE(removed) << removed.error().message;
  }
  std::string dir;
};

TEST_F(FileTest, ErrorsNameTheCallAndThePath) {
  auto opened = open_file(dir + "/missing", O_RDONLY);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().message, "open " + dir + "/missing: No such file or directory");
  EXPECT_EQ(opened.error().code, Code::not_found);
  EXPECT_EQ(opened.error().sys, ENOENT);
}

TEST_F(FileTest, AnAtomicWriteReplacesTheWholeContent) {
  std::string path = dir + "/f";
  ASSERT_TRUE(write_file_atomic(path, "a long first text", 0600));
  ASSERT_TRUE(write_file_atomic(path, "short", 0600));
  EXPECT_EQ(*read_file(path), "short");
  EXPECT_EQ(stat_file(path)->st_mode & 0777, 0600u);
  EXPECT_EQ(list_dir(dir)->size(), 1u);
}

TEST_F(FileTest, PathsInARootDoNotLeaveIt) {
  ASSERT_TRUE(make_dirs(dir + "/root/etc"));
  ASSERT_TRUE(write_file(dir + "/root/etc/x", "inside", O_CREAT));
  ASSERT_TRUE(write_file(dir + "/x", "outside", O_CREAT));
  ASSERT_TRUE(make_symlink("/etc", dir + "/root/absolute"));
  ASSERT_TRUE(make_symlink("../../../../../..", dir + "/root/up"));
  Fd root = *open_file(dir + "/root", O_PATH | O_DIRECTORY);
  auto read_at = [&](const char* path) {
    auto fd = open_in_root(root.get(), path, O_RDONLY);
    return fd ? *read_all(fd->get()) : fd.error().message;
  };
  EXPECT_EQ(read_at("/absolute/x"), "inside");
  EXPECT_EQ(read_at("up/etc/x"), "inside");
  EXPECT_EQ(read_at("../../../etc/x"), "inside");
  EXPECT_EQ(open_in_root(root.get(), "../x", O_RDONLY).error().sys, ENOENT);
  EXPECT_FALSE(open_beneath(root.get(), "../x", O_RDONLY));
  EXPECT_FALSE(open_beneath(root.get(), "absolute/x", O_RDONLY));
  EXPECT_TRUE(open_beneath(root.get(), "etc/x", O_RDONLY));
}

TEST_F(FileTest, DirectoriesInARootAreMadeThroughLinksThatDangle) {
  ASSERT_TRUE(make_dirs(dir + "/root"));
  ASSERT_TRUE(make_symlink("/var/lib/data", dir + "/root/data"));
  ASSERT_TRUE(make_symlink("loop", dir + "/root/loop"));
  Fd root = *open_file(dir + "/root", O_PATH | O_DIRECTORY);
  ASSERT_TRUE(make_dirs_in_root(root.get(), "/data/a/../b"));
  EXPECT_TRUE(exists(dir + "/root/var/lib/data/b"));
  ASSERT_TRUE(make_dirs_in_root(root.get(), "../../up"));
  EXPECT_TRUE(exists(dir + "/root/up"));
  EXPECT_EQ(make_dirs_in_root(root.get(), "loop/x").error().sys, ELOOP);
  ASSERT_TRUE(make_file_in_root(root.get(), "/new/dir/file"));
  EXPECT_TRUE(exists(dir + "/root/new/dir/file"));
}

TEST_F(FileTest, RemoveAllFollowsNoLinks) {
  ASSERT_TRUE(make_dirs(dir + "/keep"));
  ASSERT_TRUE(write_file(dir + "/keep/file", "x", O_CREAT));
  ASSERT_TRUE(make_dirs(dir + "/tree/a/b"));
  ASSERT_TRUE(make_symlink(dir + "/keep", dir + "/tree/a/link"));
  ASSERT_TRUE(make_fifo(dir + "/tree/fifo", 0600));
  ASSERT_TRUE(remove_all(dir + "/tree"));
  EXPECT_FALSE(exists(dir + "/tree"));
  EXPECT_TRUE(exists(dir + "/keep/file"));
  EXPECT_TRUE(remove_all(dir + "/tree"));
}

TEST_F(FileTest, RemoveAllStopsAtAMount) {
  ASSERT_TRUE(unshare(CLONE_NEWNS));
  ASSERT_TRUE(mount("none", "/", "", MS_REC | MS_PRIVATE));
  ASSERT_TRUE(make_dirs(dir + "/tree/mounted"));
  ASSERT_TRUE(make_dirs(dir + "/data"));
  ASSERT_TRUE(write_file(dir + "/data/file", "x", O_CREAT));
  // A bind mount of the same file system: the device number alone does not tell.
  ASSERT_TRUE(mount(dir + "/data", dir + "/tree/mounted", "", MS_BIND));
  EXPECT_TRUE(*is_mount_point(dir + "/tree/mounted"));
  EXPECT_EQ(remove_all(dir + "/tree").error().sys, EXDEV);
  EXPECT_TRUE(exists(dir + "/data/file"));
  ASSERT_TRUE(umount_all(dir + "/tree"));
  EXPECT_FALSE(*is_mount_point(dir + "/tree/mounted"));
  ASSERT_TRUE(remove_all(dir + "/tree"));
}

TEST_F(FileTest, ALockIsHeldUntilItsDescriptorGoes) {
  auto first = lock_file(dir + "/lock", false);
  ASSERT_TRUE(first);
  EXPECT_EQ(lock_file(dir + "/lock", false).error().code, Code::conflict);
  first->reset();
  EXPECT_TRUE(lock_file(dir + "/lock", false));
}

TEST(Mountinfo, IsParsedWithEscapesAndOptionalFields) {
  auto mounts = parse_mountinfo(
      "36 35 98:0 /a\\040b /mnt\\0112 rw,noatime shared:1 master:2 - ext3 /dev/root rw,errors=continue\n"
      "37 36 0:5 / /x ro - tmpfs tmpfs ro\n");
  ASSERT_TRUE(mounts);
  ASSERT_EQ(mounts->size(), 2u);
  EXPECT_EQ((*mounts)[0].root, "/a b");
  EXPECT_EQ((*mounts)[0].mount_point, "/mnt\t2");
  EXPECT_EQ((*mounts)[0].optional, "shared:1 master:2");
  EXPECT_EQ((*mounts)[0].fs_type, "ext3");
  EXPECT_EQ((*mounts)[0].major, 98u);
  EXPECT_EQ((*mounts)[1].optional, "");
  EXPECT_EQ((*mounts)[1].source, "tmpfs");
  EXPECT_EQ(parse_mountinfo("nonsense\n").error().code, Code::malformed);
}

}  // namespace
}  // namespace estiba::os
