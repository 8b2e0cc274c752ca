#include <gtest/gtest.h>
#include <sys/xattr.h>

#include <algorithm>
#include <thread>

#include "docker/archive/pack.h"
#include "docker/archive/rooted.h"
#include "image/test_support.h"
#include "image/unpack.h"
#include "os/file.h"

namespace estiba::docker {
namespace {

using image::TarEntry;

struct Member {
  TarEntry entry;
  std::string content;
};

class ArchiveTest : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"root", "root/etc", "root/usr", "root/usr/bin", "outside"}) ASSERT_TRUE(os::make_dir(dir / name));
    ASSERT_TRUE(os::write_file(dir / "root/etc/passwd", "root:x:0:0\n", O_CREAT));
    ASSERT_TRUE(os::write_file(dir / "outside/secret", "secret", O_CREAT));
    ASSERT_TRUE(os::make_symlink("usr/bin", dir / "root/bin"));
    ASSERT_TRUE(os::make_symlink("/../../../outside/secret", dir / "root/etc/escape"));
    ASSERT_TRUE(os::make_symlink((dir / "outside"), dir / "root/out"));
    root = os::open_file(dir / "root", O_PATH | O_DIRECTORY).value_or(Fd());
    ASSERT_TRUE(root);
  }
  std::vector<Member> members(const std::string& path, PackOptions options = {}) {
    image::StringSink sink;
    auto packed = pack(root.get(), path, sink, options);
    EXPECT_TRUE(packed) << packed.error().message;
    image::StringSource source(sink.text);
    image::TarReader reader(source);
    std::vector<Member> out;
    for (;;) {
      auto entry = reader.next();
      EXPECT_TRUE(entry) << entry.error().message;
      if (!entry || !*entry) return out;
      out.push_back({**entry, image::read_all(reader, 1 << 20).value_or("")});
    }
  }
  std::vector<std::string> names(const std::string& path, PackOptions options = {}) {
    std::vector<std::string> out;
    for (const Member& member : members(path, options)) out.push_back(member.entry.name);
    return out;
  }
  Result<void> put(std::string tar, image::UnpackOptions options) {
    image::StringSource source(tar);
    options.whiteouts = false;
    options.lenient = true;
    options.keep_existing_root = true;
    TRY(image::unpack(source, root.get(), options));
    return {};
  }
  image::TemporaryDirectory dir;
  Fd root;
};

TEST(PathParts, TakesPathsApartAsDockerDoes) {
  auto check = [](std::string_view path, std::string directory, std::string base, std::string name) {
    const PathParts parts = take_path_apart(path);
    EXPECT_EQ(parts.directory, directory) << path;
    EXPECT_EQ(parts.base, base) << path;
    EXPECT_EQ(parts.name, name) << path;
  };
  check("/etc/passwd", "/etc/", "passwd", "passwd");
  check("etc/passwd", "/etc/", "passwd", "passwd");
  check("/etc/", "/etc/", "", "etc");
  check("/etc/.", "/etc/", ".", ".");
  check("/", "/", "", "/");
  check("/.", "/", ".", "/");
  check("/a/../../b", "/", "b", "b");
  check("/a//b", "/a/", "b", "b");
}

TEST_F(ArchiveTest, StatTellsKindsAndWhereLinksLead) {
  auto file = stat_in_root(root.get(), "/etc/passwd");
  ASSERT_TRUE(file);
  EXPECT_EQ(file->size, 11);
  EXPECT_EQ(file->mode, 0644u);
  auto link = stat_in_root(root.get(), "/bin");
  ASSERT_TRUE(link);
  EXPECT_EQ(link->link_target, "/usr/bin");
  EXPECT_EQ(link->mode >> 27 & 1, 1u);
  auto followed = stat_in_root(root.get(), "/bin/");
  ASSERT_TRUE(followed);
  EXPECT_EQ(followed->mode >> 31, 1u);
  EXPECT_EQ(followed->name, "bin");
  EXPECT_EQ(stat_in_root(root.get(), "/nope").error().sys, ENOENT);
  EXPECT_EQ(stat_in_root(root.get(), "/etc/passwd/x").error().sys, ENOTDIR);
  EXPECT_NE(file->json().find("\"linkTarget\":\"\""), std::string::npos);
}

TEST_F(ArchiveTest, NothingLeadsOut) {
  EXPECT_EQ(real_path(root.get(), "/etc/escape"), "/outside/secret");
  EXPECT_EQ(stat_in_root(root.get(), "/etc/escape")->link_target, "/outside/secret");
  EXPECT_FALSE(stat_in_root(root.get(), "/etc/escape/"));
  EXPECT_FALSE(stat_in_root(root.get(), "/out/secret"));
  // Into the link's target as the container sees it, which is made inside.
  ASSERT_TRUE(put(image::TarText().file("out/evil", "x").text(), {}));
  EXPECT_FALSE(os::exists(dir / "outside/evil"));
  EXPECT_FALSE(put(image::TarText().file("../evil", "x").text(), {}));
  ASSERT_TRUE(put(image::TarText().file("/etc/abs", "x").text(), {.below = "/usr"}));
  EXPECT_TRUE(os::exists(dir / "root/usr/etc/abs"));
}

TEST_F(ArchiveTest, PacksFilesAndTrees) {
  ASSERT_TRUE(os::make_hardlink(dir / "root/etc/passwd", dir / "root/etc/shadow"));
  ASSERT_TRUE(os::make_fifo(dir / "root/etc/pipe", 0600));
  ASSERT_EQ(::setxattr((dir / "root/etc/passwd").c_str(), "user.note", "hi", 2, 0), 0);
  ASSERT_TRUE(os::change_owner(dir / "root/etc/passwd", 12, 34));
  EXPECT_EQ(names("/etc/passwd"), std::vector<std::string>{"passwd"});
  EXPECT_EQ(names("/etc"), (std::vector<std::string>{"etc/", "etc/escape", "etc/passwd", "etc/pipe", "etc/shadow"}));
  EXPECT_EQ(names("/etc/."), (std::vector<std::string>{"./", "escape", "passwd", "pipe", "shadow"}));
  EXPECT_EQ(names("/bin"), std::vector<std::string>{"bin"});
  EXPECT_EQ(names("/bin/"), std::vector<std::string>{"bin/"});
  const auto all = members("/etc");
  EXPECT_EQ(all[1].entry.link, "/../../../outside/secret");
  EXPECT_EQ(all[2].content, "root:x:0:0\n");
  EXPECT_EQ(all[2].entry.uid, 12u);
  EXPECT_EQ(all[2].entry.gid, 34u);
  ASSERT_EQ(all[2].entry.xattrs.size(), 1u);
  EXPECT_EQ(all[2].entry.xattrs[0].second, "hi");
  EXPECT_EQ(all[3].entry.type, TarEntry::Type::fifo);
  EXPECT_EQ(all[4].entry.type, TarEntry::Type::hardlink);
  EXPECT_EQ(all[4].entry.link, "etc/passwd");
  image::StringSink sink;
  EXPECT_EQ(pack(root.get(), "/nope", sink).error().sys, ENOENT);
}

TEST_F(ArchiveTest, ExportLeavesMountsOut) {
  ASSERT_TRUE(os::make_dir(dir / "root/data"));
  auto view = RootView::stopped(dir / "root", {{dir / "outside", "/data", true}, {dir / "outside/secret", "/etc/passwd", true}});
  ASSERT_TRUE(view) << view.error().message;
  root = Fd(::dup(view->fd()));
  EXPECT_EQ(names("/data"), (std::vector<std::string>{"data/", "data/secret"}));
  EXPECT_EQ(members("/etc/passwd")[0].content, "secret");
  const auto all = members("/", {.across_mounts = false, .first = false});
  EXPECT_TRUE(std::none_of(all.begin(), all.end(), [](const Member& m) { return m.entry.name == "data/secret"; }));
  EXPECT_TRUE(std::any_of(all.begin(), all.end(), [](const Member& m) { return m.entry.name == "data/"; }));
  for (const Member& member : all)
    if (member.entry.name == "etc/passwd") EXPECT_EQ(member.content, "");
  // A read-only mount stays so, and the host saw no mount at all.
  std::thread([&] {
    ASSERT_TRUE(view->enter());
    EXPECT_EQ(put(image::TarText().file("passwd", "x").text(), {.below = "/etc"}).error().sys, EBUSY);
    EXPECT_EQ(put(image::TarText().file("late", "x").text(), {.below = "/data"}).error().sys, EROFS);
  }).join();
  EXPECT_EQ(os::read_file(dir / "root/etc/passwd").value_or(""), "root:x:0:0\n");
}

TEST_F(ArchiveTest, CopiesIn) {
  auto tar = image::TarText().directory("./", 0700).file("new", "n", 0600).symlink("up", "../../../x").hardlink("twin", "new").text();
  ASSERT_TRUE(put(tar, {.below = "/bin/", .owner = std::pair(7u, 8u)}));
  const struct stat info = os::lstat_file(dir / "root/usr/bin/new").value_or({});
  EXPECT_EQ(info.st_uid, 7u);
  EXPECT_EQ(info.st_gid, 8u);
  EXPECT_EQ(info.st_nlink, 2u);
  EXPECT_EQ(os::read_link(dir / "root/usr/bin/up").value_or(""), "../../../x");
  EXPECT_EQ(os::stat_file(dir / "root/usr/bin")->st_mode & 0777, 0755u);  // "./" is not its business
  auto over = put(image::TarText().file("etc", "x").text(), {.keep_kinds = true});
  ASSERT_FALSE(over);
  EXPECT_NE(over.error().message.find("cannot overwrite directory \"etc\" with non-directory"), std::string::npos);
  over = put(image::TarText().directory("passwd").text(), {.below = "etc", .keep_kinds = true});
  ASSERT_FALSE(over);
  EXPECT_NE(over.error().message.find("cannot overwrite non-directory"), std::string::npos);
  EXPECT_FALSE(put(image::TarText().file("cut", std::string(2000, 'x')).text().substr(0, 1024), {}));
}

}  // namespace
}  // namespace estiba::docker
