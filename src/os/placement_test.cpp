#include "os/placement.h"

#include <gtest/gtest.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/statfs.h>

#include "os/file.h"

namespace estiba::os {
namespace {

TEST(Placement, MarksDirectoriesOfExt4AndNoOthers) {
  char name[] = "/var/tmp/estiba-placement-XXXXXX";
  ASSERT_NE(::mkdtemp(name), nullptr);
  struct statfs info{};
  ASSERT_EQ(::statfs(name, &info), 0);
  auto flags = [](const std::string& path) {
    Fd fd = std::move(*open_file(path, O_RDONLY | O_DIRECTORY));
    int out = 0;
    EXPECT_EQ(::ioctl(fd.get(), FS_IOC_GETFLAGS, &out), 0);
    return out;
  };
  place_apart(name);
  place_apart(name);
  const std::string inner = std::string(name) + "/inner";
  ASSERT_TRUE(make_dir(inner));
  if (info.f_type == EXT4_SUPER_MAGIC) {
    EXPECT_TRUE(flags(name) & FS_TOPDIR_FL);
    EXPECT_FALSE(flags(inner) & FS_TOPDIR_FL);  // only what is made in it goes apart
  }
  place_apart(std::string(name) + "/missing");
  place_apart("/proc");
  EXPECT_TRUE(remove_all(name));
}

}  // namespace
}  // namespace estiba::os
