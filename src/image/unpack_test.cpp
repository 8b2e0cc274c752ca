#include "image/unpack.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "image/test_support.h"

namespace estiba::image {
namespace {

using Type = TarEntry::Type;

class Unpack : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(os::make_dir(dir_ / "root")); }

  /// Empty when it worked, else the error.
  std::string unpacked(std::string_view tar, UnpackOptions options = {}) {
    Fd root = std::move(*os::open_file(dir_ / "root", O_RDONLY | O_DIRECTORY));
    StringSource source(tar);
    auto done = unpack(source, root.get(), options);
    return done ? "" : done.error().message;
  }
  std::string content(std::string_view name) {
    auto text = os::read_file(dir_ / "root" + "/" + std::string(name));
    return text ? *text : "(" + text.error().message + ")";
  }
  struct stat info(std::string_view name) {
    auto result = os::lstat_file(dir_ / "root" + "/" + std::string(name));
    EXPECT_TRUE(result) << name;
    return result.value_or((struct stat){});
  }
  bool there(std::string_view name) { return os::lstat_file(dir_ / "root" + "/" + std::string(name)).has_value(); }

  TemporaryDirectory dir_;
};

TEST_F(Unpack, KeepsOwnersModesTimesLinksAndAttributes) {
  TarText tar;
  tar.add({.name = "./", .type = Type::directory, .mode = 0711});
  tar.add({.name = "bin/", .type = Type::directory, .mode = 01777, .uid = 5, .gid = 6, .mtime = 1000});
  TarEntry tool{.name = "bin/tool", .mode = 04755, .uid = 12, .gid = 13, .mtime = 1234567890, .mtime_ns = 5};
  tool.xattrs = {
      {"security.capability", std::string("\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 20)},
      {"user.note", "yes"},
      {"trusted.overlay.opaque", "y"}};
  tar.add(tool, "#!");
  tar.hardlink("bin/same", "bin/tool");
  tar.symlink("sbin", "bin");
  tar.symlink("lib", "/usr/lib");
  tar.add({.name = "dev/null", .type = Type::character, .mode = 0666, .major = 1, .minor = 3});
  tar.add({.name = "run/fifo", .type = Type::fifo, .mode = 0600});
  ASSERT_EQ(unpacked(tar.text()), "");
  EXPECT_EQ(info("").st_mode & 07777, 0711u);
  auto bin = info("bin");
  EXPECT_EQ(bin.st_mode & 07777, 01777u);
  EXPECT_EQ(bin.st_uid, 5u);
  EXPECT_EQ(bin.st_mtim.tv_sec, 1000);
  auto st = info("bin/tool");
  EXPECT_EQ(st.st_mode & 07777, 04755u);
  EXPECT_EQ(st.st_uid, 12u);
  EXPECT_EQ(st.st_gid, 13u);
  EXPECT_EQ(st.st_mtim.tv_sec, 1234567890);
  EXPECT_EQ(st.st_mtim.tv_nsec, 5);
  EXPECT_EQ(st.st_nlink, 2u);
  EXPECT_EQ(info("bin/same").st_ino, st.st_ino);
  std::string path = dir_ / "root/bin/tool";
  char value[64];
  EXPECT_EQ(::getxattr(path.c_str(), "security.capability", value, sizeof value), 20);
  EXPECT_EQ(::getxattr(path.c_str(), "trusted.overlay.opaque", value, sizeof value), -1);
  EXPECT_EQ(os::read_link(dir_ / "root/lib").value(), "/usr/lib");
  EXPECT_EQ(info("dev/null").st_rdev, makedev(1, 3));
  EXPECT_TRUE(S_ISFIFO(info("run/fifo").st_mode));
  EXPECT_EQ(info("run").st_mode & 07777, 0755u);
}

TEST_F(Unpack, RefusesWhatLeadsOutAndNamesIt) {
  struct Case {
    std::string tar, expected;
  };
  Case cases[] = {
      {TarText().file("../evil", "x").text(), "unpack \"../evil\": \"..\" is not allowed"},
      {TarText().file("a/../../evil", "x").text(), "unpack \"a/../../evil\": \"..\" is not allowed"},
      {TarText().file("/etc/evil", "x").text(), "unpack \"/etc/evil\": an absolute name is not allowed"},
      {TarText().symlink("a/up", "../../etc").text(), "unpack \"a/up\": the symlink's target \"../../etc\" leads out of the root"},
      {TarText().hardlink("copy", "../../etc/passwd").text(),
       "unpack \"copy\": the hard link's target \"../../etc/passwd\": \"..\" is not allowed"},
      {TarText().hardlink("copy", "/etc/passwd").text(), "unpack \"copy\": the hard link's target \"/etc/passwd\": an absolute name"},
      {TarText().hardlink("copy", "etc/passwd").text(), "unpack \"copy\": the hard link's target \"etc/passwd\" is not in the image"},
      {TarText().add({.name = "dev/sda", .type = Type::block, .major = 8}).text(),
       "unpack \"dev/sda\": the device node block 8:0 is not allowed"},
      {TarText().add({.name = "dev/mem", .type = Type::character, .major = 1, .minor = 1}).text(),
       "unpack \"dev/mem\": the device node character 1:1"},
      {TarText().add({.name = "w", .type = Type::character}).text(), "unpack \"w\": the device node character 0:0"},
      {TarText().file("./", "x").text(), "the root of an image must be a directory"},
      {TarText().file(".wh...", "").text(), "names nothing that can be deleted"},
      {TarText().file(".wh.", "").text(), "names nothing that can be deleted"},
  };
  for (const auto& c : cases) EXPECT_NE(unpacked(c.tar).find(c.expected), std::string::npos) << c.expected << "\n" << unpacked(c.tar);
  std::string deep;
  for (int i = 0; i < 500; ++i) deep += "d/";
  EXPECT_NE(unpacked(TarText().directory(deep).text()).find("nested more than 400 deep"), std::string::npos);
}

TEST_F(Unpack, WritesThroughSymlinksStayInside) {
  ASSERT_TRUE(os::make_dir(dir_ / "outside"));
  TarText tar;
  tar.symlink("abs", dir_ / "outside").symlink("top", "/").symlink("self", ".");
  tar.file("abs/pwned", "1").file("top/pwned2", "2").file("self/self/pwned3", "3");
  ASSERT_EQ(unpacked(tar.text()), "");
  EXPECT_EQ(os::list_dir(dir_ / "outside").value().size(), 0u);
  EXPECT_EQ(content("pwned2"), "2");
  EXPECT_EQ(content("pwned3"), "3");
  EXPECT_EQ(content((dir_ / "outside/pwned").substr(1)), "1");  // as the container itself would see it
}

TEST_F(Unpack, AFileNeverFollowsALinkInItsPlace) {
  ASSERT_TRUE(os::write_file(dir_ / "victim", "safe", O_CREAT));
  ASSERT_TRUE(os::make_symlink(dir_ / "victim", dir_ / "root/passwd"));
  ASSERT_EQ(unpacked(TarText().file("passwd", "new").text()), "");
  EXPECT_EQ(os::read_file(dir_ / "victim").value(), "safe");
  EXPECT_EQ(content("passwd"), "new");
}

TEST_F(Unpack, LaterMembersReplaceEarlierOnes) {
  TarText tar;
  tar.directory("d").file("d/inside", "x").file("d", "a file now").symlink("s", "d").directory("s").file("s/in", "y");
  ASSERT_EQ(unpacked(tar.text()), "");
  EXPECT_EQ(content("d"), "a file now");
  EXPECT_EQ(content("s/in"), "y");
  EXPECT_TRUE(S_ISDIR(info("s").st_mode));
}

TEST_F(Unpack, WhiteoutsDelete) {
  ASSERT_EQ(unpacked(TarText().file("a/keep", "k").file("a/gone", "g").file("b/x/y", "1").file("c", "2").text()), "");
  ASSERT_EQ(unpacked(TarText()
                         .file("a/.wh.gone", "")
                         .file("b/.wh..wh..opq", "")
                         .file("b/new", "n")
                         .file(".wh.c", "")
                         .file("nowhere/.wh.x", "")
                         .file(".wh..wh.plnk", "")
                         .text()),
            "");
  EXPECT_TRUE(there("a/keep"));
  EXPECT_FALSE(there("a/gone"));
  EXPECT_FALSE(there("b/x"));
  EXPECT_EQ(content("b/new"), "n");
  EXPECT_FALSE(there("c"));
  ASSERT_EQ(unpacked(TarText().file("lit/.wh.x", "literal").text(), {.whiteouts = false}), "");
  EXPECT_EQ(content("lit/.wh.x"), "literal");
}

TEST_F(Unpack, ATruncatedArchiveFails) {
  std::string tar = TarText().file("big", std::string(10000, 'b')).text();
  EXPECT_NE(unpacked(tar.substr(0, 5000)).find("truncated in member \"big\""), std::string::npos);
}

}  // namespace
}  // namespace estiba::image
