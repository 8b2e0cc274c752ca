#include "build/solve/copy.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "build/context/context_tree.h"
#include "image/test_support.h"

namespace estiba::build {
namespace {

using image::TarText;
using image::TemporaryDirectory;

class Copy : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::getuid() != 0) GTEST_SKIP() << "needs root, for owners";
    ASSERT_TRUE(os::make_dirs(d_ / "low/real"));
    ASSERT_TRUE(os::make_dirs(d_ / "low/etc"));
    ASSERT_TRUE(os::write_file(d_ / "low/etc/passwd", "root:x:0:0::/:/bin/sh\napp:x:12:34::/:/bin/sh\n", O_CREAT));
    ASSERT_TRUE(os::write_file(d_ / "low/etc/group", "staff:x:50:\n", O_CREAT));
    ASSERT_TRUE(os::make_symlink("/real", d_ / "low/link"));
    ASSERT_EQ(::chmod((d_ / "low/real").c_str(), 0751), 0);
  }

  void context(TarText text) {
    const std::string bytes = text.text(), place = d_ / ("context-" + std::to_string(++contexts_));
    ASSERT_TRUE(os::make_dirs(place));
    image::StringSource source(bytes);
    auto opened = ContextTree::from_tar(source, place);
    ASSERT_TRUE(opened) << opened.error().message;
    tree_ = *opened;
  }

  std::string copy(CopyRequest request) {
    auto plan = plan_copy(*tree_, request);
    if (!plan) return plan.error().message;
    digest_ = plan->digest;
    auto upper = Upper::open({d_ / "low"}, d_ / "up");
    EXPECT_TRUE(upper);
    EXPECT_TRUE(os::make_dirs(d_ / "scratch"));
    auto done = perform_copy(*tree_, request, *plan, **upper, d_ / "scratch");
    return done ? "" : done.error().message;
  }

  struct stat at(const std::string& path) {
    auto st = os::lstat_file(d_ / ("up/" + path));
    EXPECT_TRUE(st) << path;
    return st ? *st : (struct stat){};
  }
  std::string text(const std::string& path) { return os::read_file(d_ / ("up/" + path)).value_or("missing"); }

  TemporaryDirectory d_;
  std::shared_ptr<ContextTree> tree_;
  std::string digest_;
  int contexts_ = 0;
};

TEST_F(Copy, FilesGoWhereTheImagesLinksLead) {
  context(TarText().file("a", "A").file("b", "B"));
  EXPECT_EQ(copy({.sources = {"a"}, .destination = "/link/"}), "");
  EXPECT_EQ(text("real/a"), "A");
  EXPECT_EQ(at("real").st_mode & 07777, 0751u);
  EXPECT_EQ(copy({.sources = {"a", "b"}, .destination = "new/", .working_dir = "/work"}), "");
  EXPECT_EQ(text("work/new/b"), "B");
  EXPECT_EQ(copy({.sources = {"a"}, .destination = "/named"}), "");
  EXPECT_EQ(text("named"), "A");
  EXPECT_EQ(copy({.sources = {"a"}, .destination = "/real"}), "");
  EXPECT_EQ(text("real/a"), "A");
}

TEST_F(Copy, DirectoriesAreMergedAndTheirAttributesKept) {
  context(TarText().directory("d", 0700).file("d/x", "1", 0640).directory("d/e", 0711).symlink("d/e/l", "../x").file("d/skip.md", ""));
  EXPECT_EQ(copy({.sources = {"d"}, .destination = "/out", .exclude = {"*.md"}}), "");
  EXPECT_EQ(at("out").st_mode & 07777, 0700u);
  EXPECT_EQ(at("out/x").st_mode & 07777, 0640u);
  EXPECT_EQ(at("out/e").st_mode & 07777, 0711u);
  EXPECT_EQ(*os::read_link(d_ / "up/out/e/l"), "../x");
  EXPECT_FALSE(os::exists(d_ / "up/out/skip.md"));
  EXPECT_EQ(copy({.sources = {"d"}, .destination = "/", .parents = true}), "");
  EXPECT_EQ(text("d/x"), "1");
}

TEST_F(Copy, OwnersModesAndWildcards) {
  context(TarText().file("a.txt", "A").file("b.txt", "B").file("c.md", "C"));
  auto owner = look_up_owner(LayeredTree({d_ / "low"}), "app:staff");
  ASSERT_TRUE(owner) << owner.error().message;
  EXPECT_EQ(copy({.sources = {"*.txt"}, .destination = "/o/", .owner = *owner, .mode = 0600}), "");
  EXPECT_EQ(at("o/a.txt").st_uid, 12u);
  EXPECT_EQ(at("o/b.txt").st_gid, 50u);
  EXPECT_EQ(at("o/b.txt").st_mode & 07777, 0600u);
  EXPECT_EQ(at("o").st_uid, 12u);
  EXPECT_EQ(look_up_owner(LayeredTree({d_ / "low"}), "7")->gid, 7u);
  EXPECT_EQ(look_up_owner(LayeredTree({d_ / "low"}), "app")->gid, 34u);
  EXPECT_NE(look_up_owner(LayeredTree({d_ / "low"}), "nobody-here").error().message.find("no such user: nobody-here"), std::string::npos);
}

TEST_F(Copy, TheDigestIsOfContentsNotOfTimes) {
  context(TarText().add({.name = "a", .mode = 0644, .mtime = 1}, "same"));
  EXPECT_EQ(copy({.sources = {"a"}, .destination = "/x"}), "");
  std::string first = digest_;
  context(TarText().add({.name = "a", .mode = 0644, .mtime = 2}, "same"));
  EXPECT_EQ(copy({.sources = {"a"}, .destination = "/x"}), "");
  EXPECT_EQ(digest_, first);
  context(TarText().add({.name = "a", .mode = 0755, .mtime = 2}, "same"));
  EXPECT_EQ(copy({.sources = {"a"}, .destination = "/x"}), "");
  EXPECT_NE(digest_, first);
}

TEST_F(Copy, ErrorsAreDockers) {
  context(TarText().file("a", "A").directory("d").file("d/etc", "file"));
  EXPECT_EQ(copy({.sources = {"nope"}, .destination = "/"}),
            "COPY failed: file not found in build context or excluded by .dockerignore: stat nope: file does not exist");
  EXPECT_EQ(copy({.sources = {"../a"}, .destination = "/"}), "COPY failed: forbidden path outside the build context: ../a ()");
  EXPECT_EQ(copy({.sources = {"*.nope"}, .destination = "/"}), "COPY failed: no source files were specified");
  EXPECT_NE(copy({.sources = {"a", "d"}, .destination = "/x"}).find("with more than one source file"), std::string::npos);
  EXPECT_NE(copy({.sources = {"d"}, .destination = "/"}).find("cannot overwrite the directory /etc with a file"), std::string::npos);
  EXPECT_NE(copy({.sources = {"a"}, .destination = "/etc/passwd/"}).find("/etc/passwd is not a directory"), std::string::npos);
}

TEST_F(Copy, ManyFilesAreWrittenOnSeveralThreads) {
  TarText tar;
  for (int i = 0; i < 500; ++i) tar.file("m/" + std::to_string(i % 7) + "/" + std::to_string(i), std::to_string(i));
  context(std::move(tar));
  EXPECT_EQ(copy({.sources = {"m"}, .destination = "/m"}), "");
  for (int i = 0; i < 500; ++i) EXPECT_EQ(text("m/" + std::to_string(i % 7) + "/" + std::to_string(i)), std::to_string(i));
}

TEST_F(Copy, ArchivesAreKnownByTheirContent) {
  context(TarText()
              .file("in.tar", TarText().file("x", std::string(2000, 'x')).text())
              .file("text", std::string(2000, 't'))
              .file("b.bz2", "BZh" + std::string(100, 'b')));
  EXPECT_TRUE(*is_archive(*tree_, "in.tar"));
  EXPECT_FALSE(*is_archive(*tree_, "text"));
  EXPECT_EQ(is_archive(*tree_, "b.bz2").error().code, Code::unsupported);
}

}  // namespace
}  // namespace estiba::build
