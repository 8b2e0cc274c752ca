#include "docker/archive/changes.h"

#include <gtest/gtest.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "image/test_support.h"
#include "os/file.h"

namespace estiba::docker {
namespace {

class ChangesTest : public testing::Test {
 protected:
  void file(const std::string& name, const std::string& text = "x") {
    ASSERT_TRUE(os::make_dirs((dir / name).substr(0, (dir / name).rfind('/'))));
    ASSERT_TRUE(os::write_file(dir / name, text, O_CREAT));
  }
  void whiteout(const std::string& name) { ASSERT_EQ(::mknod((dir / name).c_str(), S_IFCHR, makedev(0, 0)), 0); }
  void opaque(const std::string& name) { ASSERT_EQ(::setxattr((dir / name).c_str(), "trusted.overlay.opaque", "y", 1, 0), 0); }
  std::string changes() {
    auto found = find_changes(dir / "upper", {dir / "low", dir / "high"});
    EXPECT_TRUE(found);
    std::string out;
    for (const Change& change : *found) out += "CAD"[int(change.kind)] + change.path + " ";
    return out;
  }
  image::TemporaryDirectory dir;
};

TEST_F(ChangesTest, ComparesWithTheLayersBelow) {
  file("low/etc/passwd");
  file("low/etc/group");
  file("low/gone/file");
  file("low/hidden/file");
  file("high/bin/sh");
  whiteout("high/gone");
  ASSERT_TRUE(os::make_dirs(dir / "high/hidden"));
  opaque("high/hidden");
  EXPECT_EQ(changes(), "");  // no upper directory yet
  file("upper/etc/passwd", "changed");
  whiteout("upper/etc/group");
  whiteout("upper/etc/never");
  file("upper/gone/again");
  file("upper/hidden/file");
  file("upper/new/deep/file");
  EXPECT_EQ(changes(), "C/etc D/etc/group C/etc/passwd A/gone A/gone/again C/hidden A/hidden/file A/new A/new/deep A/new/deep/file ");
}

TEST_F(ChangesTest, WhatTheRuntimeMakesIsNoChange) {
  file("low/etc/passwd");
  file("high/bin/sh");
  for (const char* name : {"upper/etc/hosts", "upper/etc/hostname", "upper/etc/resolv.conf", "upper/dev/console", "upper/.dockerenv"})
    file(name, "");
  ASSERT_TRUE(os::make_dirs(dir / "upper/proc"));
  ASSERT_TRUE(os::make_dirs(dir / "upper/sys"));
  EXPECT_EQ(changes(), "");
  file("upper/etc/mine");
  EXPECT_EQ(changes(), "C/etc A/etc/mine ");
}

}  // namespace
}  // namespace estiba::docker
