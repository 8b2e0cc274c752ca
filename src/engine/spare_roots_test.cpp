// Roots that were never written to serve further containers of their image.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "engine/test_support.h"

namespace estiba::engine {
namespace {

// Tells a directory from all before it; numbers of inodes come back.
std::string identity_of(const std::string& path) {
  struct statx info{};
  EXPECT_EQ(::statx(AT_FDCWD, path.c_str(), 0, STATX_INO | STATX_BTIME, &info), 0);
  return std::to_string(info.stx_ino) + "." + std::to_string(info.stx_btime.tv_sec) + "." + std::to_string(info.stx_btime.tv_nsec);
}

// What files are stamped with on old kernels moves in ticks.
void next_tick() {
  timespec before{}, now{};
  ::clock_gettime(CLOCK_REALTIME_COARSE, &before);
  do ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
  while (now.tv_nsec == before.tv_nsec && now.tv_sec == before.tv_sec);
}

// A passing root of busybox, in use once, then removed. Gives its writable layer's identity.
Task<std::string> pass(Bed* bed, std::string id, std::function<void(const std::string& root)> use, bool unshared = true) {
  next_tick();  // a number that comes back at once would come with the same time
  EXPECT_TRUE(co_await bed->engine->make_root(id, "box:1", true));
  auto root = co_await bed->engine->mount_root(id);
  EXPECT_TRUE(root);
  if (!root) co_return "";
  EXPECT_TRUE(os::exists(*root + "/bin/busybox"));
  EXPECT_FALSE(os::exists(*root + "/mark"));
  struct stat info{};
  (void)::stat(root->c_str(), &info);
  EXPECT_EQ(info.st_mode & 07777, 0755u);
  EXPECT_EQ(::getxattr(root->c_str(), "trusted.mark", nullptr, 0), -1);
  const std::string identity = identity_of(bed->engine->upper_dir(id));
  use(*root);
  EXPECT_TRUE(co_await bed->engine->unmount_root(id));
  EXPECT_TRUE(co_await bed->engine->remove_root(id, unshared));
  EXPECT_FALSE(os::exists(bed->dir / "data/containers/" + id));
  co_return identity;
}

TEST(SpareRoots, ServeWhenNothingWasWritten) {
  Bed().run([](Bed& bed) -> Task<void> {
    auto look = [](const std::string& root) { EXPECT_TRUE(os::read_file(root + "/etc/passwd")); };
    const std::string first = co_await pass(&bed, "c1", look);
    EXPECT_EQ(co_await pass(&bed, "c2", look), first);
    EXPECT_EQ(co_await pass(&bed, "c3", look, false), first);  // somebody may hold it
    EXPECT_NE(co_await pass(&bed, "c4", look), first);
  });
}

TEST(SpareRoots, NeverShowWhatWasDoneBefore) {
  Bed().run([](Bed& bed) -> Task<void> {
    const std::vector<std::function<void(const std::string&)>> deeds{
        [](const std::string& root) { EXPECT_TRUE(os::write_file(root + "/mark", "x", O_CREAT)); },
        [](const std::string& root) { EXPECT_TRUE(os::write_file(root + "/etc/passwd", "", O_TRUNC)); },
        [](const std::string& root) { EXPECT_TRUE(os::remove_file(root + "/etc/passwd")); },
        [](const std::string& root) { EXPECT_EQ(::chmod(root.c_str(), 0700), 0); },
        [](const std::string& root) { EXPECT_TRUE(os::change_owner(root, 1, 1)); },
        [](const std::string& root) { EXPECT_EQ(::setxattr(root.c_str(), "trusted.mark", "x", 1, 0), 0); },
        [](const std::string& root) {  // gone again, but for the times of the root
          next_tick();
          EXPECT_TRUE(os::write_file(root + "/mark", "x", O_CREAT));
          EXPECT_TRUE(os::remove_file(root + "/mark"));
        },
    };
    int number = 0;
    std::string last;
    for (const auto& deed : deeds) {
      const std::string identity = co_await pass(&bed, "c" + std::to_string(++number), deed);
      EXPECT_NE(identity, last) << number;
      last = identity;
    }
    auto spares = os::list_dir(bed.dir / "data/containers/.spare");
    EXPECT_TRUE(!spares || spares->empty());
  });
}

TEST(SpareRoots, LetTheirImageGo) {
  Bed().run([](Bed& bed) -> Task<void> {
    (void)co_await pass(&bed, "c1", [](const std::string&) {});
    const std::string spares = bed.dir / "data/containers/.spare";
    CO_ASSERT(os::list_dir(spares).value_or({}).size() == 1);
    CO_ASSERT_OK(co_await bed.engine->remove_image("box:1"));
    EXPECT_TRUE(os::list_dir(spares).value_or({}).empty());
    EXPECT_TRUE(os::list_dir(bed.dir / "data/images/layers").value_or({}).empty());
    EXPECT_FALSE(co_await bed.engine->make_root("c2", "box:1", true));
  });
}

TEST(SpareRoots, EndWithTheEngine) {
  Bed().run([](Bed& bed) -> Task<void> {
    (void)co_await pass(&bed, "c1", [](const std::string&) {});
    const std::string spares = bed.dir / "data/containers/.spare";
    auto names = os::list_dir(spares).value_or({});
    CO_ASSERT(names.size() == 1);
    bed.engine.reset();
    EXPECT_FALSE(os::exists(spares + "/" + names[0].name));
    // What one that was killed has left.
    CO_ASSERT_OK(os::make_dirs(spares + "/left/upper"));
    bed.start_engine();
    CO_ASSERT_OK(co_await bed.engine->recover());
    EXPECT_FALSE(os::exists(spares + "/left"));
    (void)co_await pass(&bed, "c2", [](const std::string&) {});
  });
}

}  // namespace
}  // namespace estiba::engine
