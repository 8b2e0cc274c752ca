#include "os/user_namespace.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <thread>

#include "os/file.h"
#include "os/mount.h"
#include "os/namespace.h"

namespace estiba::os {
namespace {

const IdMappings ids = {{0, 200000, 65536}};

TEST(UserNamespace, HasTheIdsThatItWasGiven) {
  auto made = new_user_namespace(ids, {{0, 300000, 1000}, {1000, 400000, 5}});
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(ioctl(made->get(), NS_GET_NSTYPE), CLONE_NEWUSER);
  uid_t owner = 1;
  EXPECT_EQ(ioctl(made->get(), NS_GET_OWNER_UID, &owner), 0);
  EXPECT_EQ(owner, geteuid());
}

TEST(UserNamespace, IsMadeByManyThreadsAtATime) {
  std::vector<std::thread> threads;
  std::atomic<int> good = 0;
  for (int i = 0; i < 8; i++)
    threads.emplace_back([&, i] {
      for (int n = 0; n < 5; n++) {
        auto made = new_user_namespace({{0, uint32_t(100000 * (i + 1)), 65536}}, ids);
        if (made && new_namespace_inside(made->get(), CLONE_NEWNET)) good++;
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(good, 40);
}

TEST(UserNamespace, IdsThatOverlapAreRefusedAndNothingIsLeft) {
  auto made = new_user_namespace({{0, 1000, 10}, {5, 2000, 10}}, ids);
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().message.find("uid_map"), std::string::npos) << made.error().message;
}

TEST(UserNamespace, OwnsWhatIsMadeInside) {
  Fd user = *new_user_namespace(ids, ids);
  for (int kind : {CLONE_NEWNET, CLONE_NEWIPC, CLONE_NEWUTS}) {
    auto made = new_namespace_inside(user.get(), kind);
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_EQ(ioctl(made->get(), NS_GET_NSTYPE), kind);
    Fd owner(ioctl(made->get(), NS_GET_USERNS));
    ASSERT_TRUE(owner);
    EXPECT_EQ(fstat_file(owner.get())->st_ino, fstat_file(user.get())->st_ino);
  }
}

TEST(UserNamespace, IdsAreFoundOutside) {
  const IdMappings two = {{0, 1000, 10}, {100, 5000, 1}};
  EXPECT_EQ(id_outside(two, 0), 1000);
  EXPECT_EQ(id_outside(two, 9), 1009);
  EXPECT_EQ(id_outside(two, 10), -1);
  EXPECT_EQ(id_outside(two, 100), 5000);
  EXPECT_EQ(id_map_text(two), "0 1000 10\n100 5000 1\n");
}

class MappedMountTest : public testing::Test {
 protected:
  void SetUp() override {
    static const bool own = unshare(CLONE_NEWNS) && mount("none", "/", "", MS_REC | MS_PRIVATE);
    if (!own) GTEST_SKIP() << "needs the right to mount";
    char name[] = "/tmp/estiba-os-test-XXXXXX";
    dir = mkdtemp(name);
    ASSERT_TRUE(make_dirs(dir + "/from"));
    ASSERT_TRUE(make_dirs(dir + "/to"));
  }
  void TearDown() override {
    (void)umount_all(dir);
    if (!dir.empty()) EXPECT_TRUE(remove_all(dir));
  }
  std::string dir;
};

TEST_F(MappedMountTest, ShowsFilesAsTheNamespacesOwn) {
  ASSERT_TRUE(write_file(dir + "/from/file", "x", O_CREAT));
  Fd user = *new_user_namespace(ids, ids);
  Fd tree = *open_tree(AT_FDCWD, dir + "/from", true, false);
  auto mapped = map_mount_ids(tree.get(), user.get(), false);
  ASSERT_TRUE(mapped) << mapped.error().message;
  Fd target = *open_file(dir + "/to", O_PATH);
  ASSERT_TRUE(move_mount(tree.get(), target.get()));
  EXPECT_EQ(stat_file(dir + "/to/file")->st_uid, 200000u);
  EXPECT_EQ(stat_file(dir + "/from/file")->st_uid, 0u);
}

TEST_F(MappedMountTest, AFileSystemThatCannotIsNamed) {
  Fd user = *new_user_namespace(ids, ids);
  Fd tree = *open_tree(AT_FDCWD, "/proc", true, false);
  auto mapped = map_mount_ids(tree.get(), user.get(), false);
  ASSERT_FALSE(mapped);
  EXPECT_EQ(mapped.error().code, Code::unsupported);
  EXPECT_NE(mapped.error().message.find("file system proc"), std::string::npos) << mapped.error().message;
}

}  // namespace
}  // namespace estiba::os
