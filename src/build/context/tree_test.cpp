#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "build/context/context_tree.h"
#include "build/context/layered_tree.h"
#include "build/context/pack.h"
#include "image/digest.h"
#include "image/test_support.h"

namespace estiba::build {
namespace {

using image::TarText;
using image::TemporaryDirectory;

Result<std::shared_ptr<ContextTree>> open_tar(const TemporaryDirectory& directory, const std::string& bytes) {
  static int number = 0;
  const std::string place = directory / std::to_string(++number);
  TRY(os::make_dirs(place));
  image::StringSource source(bytes);
  return ContextTree::from_tar(source, place);
}

std::string error_of(const TemporaryDirectory& directory, const std::string& bytes) {
  auto tree = open_tar(directory, bytes);
  return tree ? "" : tree.error().message;
}

TEST(ContextTree, FilesAreReadWhereTheyLie) {
  TemporaryDirectory directory;
  auto tree =
      open_tar(directory, TarText().file("./a", "one").directory("d/").file("d/b", std::string(100'000, 'x')).hardlink("h", "a").text());
  ASSERT_TRUE(tree) << tree.error().message;
  EXPECT_EQ(*(*tree)->list(""), (std::vector<std::string>{"a", "d", "h"}));
  EXPECT_EQ(*(*tree)->read("a", 100), "one");
  EXPECT_EQ(*(*tree)->digest("a"), image::digest_of("one"));
  EXPECT_EQ(*(*tree)->digest("h"), image::digest_of("one"));
  EXPECT_EQ((*(*tree)->look("d/b"))->size, 100'000u);
  EXPECT_FALSE(*(*tree)->look("missing"));
  Fd out = *os::open_file(directory / "out", O_RDWR | O_CREAT, 0600);
  ASSERT_TRUE((*tree)->copy_content("d/b", out.get()));
  EXPECT_EQ(os::read_file(directory / "out")->size(), 100'000u);
}

TEST(ContextTree, SymlinksResolveInside) {
  TemporaryDirectory directory;
  auto tree = *open_tar(directory, TarText()
                                       .file("etc/real", "inside")
                                       .symlink("out", "/etc/real")
                                       .symlink("up", "../../../../etc")
                                       .symlink("a", "b")
                                       .symlink("b", "a")
                                       .text());
  EXPECT_EQ(*tree->resolve("out", true), "etc/real");
  EXPECT_EQ(*tree->resolve("out", false), "out");
  EXPECT_EQ(*tree->resolve("up/real", true), "etc/real");
  EXPECT_EQ(*tree->resolve("nothing/here", true), "nothing/here");
  EXPECT_FALSE(tree->resolve("a", true));
}

TEST(ContextTree, HostileMembersAreRefusedByName) {
  TemporaryDirectory directory;
  EXPECT_NE(error_of(directory, TarText().file("../x", "").text()).find("\"../x\": \"..\" is not allowed"), std::string::npos);
  EXPECT_NE(
      error_of(directory, TarText().add({.name = "disk", .type = image::TarEntry::Type::block, .major = 8}).text()).find("device node"),
      std::string::npos);
  EXPECT_NE(error_of(directory, TarText().hardlink("h", "/etc/passwd").text()).find("is not in the context before it"), std::string::npos);
  std::string whole = TarText().file("a", std::string(3000, 'a')).text();
  EXPECT_NE(error_of(directory, whole.substr(0, 1024)).find("truncated in member \"a\""), std::string::npos);
  EXPECT_NE(error_of(directory, "this is no tar at all, but text that is long enough to fill more than one block of it, several times over")
                .size(),
            0u);
  // A member below what was a file, and an absolute name: they stay inside.
  auto tree = open_tar(directory, TarText().file("a", "x").file("a/b", "y").file("/etc/passwd", "z").text());
  ASSERT_TRUE(tree);
  EXPECT_EQ(*(*tree)->read("a/b", 10), "y");
  EXPECT_EQ(*(*tree)->read("etc/passwd", 10), "z");
}

TEST(ContextTree, WithoutItsEndAndCompressed) {
  TemporaryDirectory directory;
  std::string whole = TarText().file("a", "one").text();
  EXPECT_TRUE(open_tar(directory, whole.substr(0, 512 + 3)));
  image::StringSink sink;
  image::GzipSink gzip(sink);
  ASSERT_TRUE(gzip.write(whole));
  ASSERT_TRUE(gzip.finish());
  auto tree = open_tar(directory, sink.text);
  ASSERT_TRUE(tree) << tree.error().message;
  EXPECT_EQ(*(*tree)->read("a", 10), "one");
  EXPECT_EQ(open_tar(directory, "BZh91AY").error().code, Code::unsupported);
}

/// A context directory, and trees of it as they are `age` seconds after its files were made.
class DirectoryContext : public testing::Test {
 protected:
  Result<std::shared_ptr<ContextTree>> open(int age, const std::string& rules = "") {
    const std::string scratch = d_ / ("scratch-" + std::to_string(++trees_));
    TRY(os::make_dirs(scratch));
    timespec now;
    ::clock_gettime(CLOCK_REALTIME, &now);
    ContextTree::Outside outside{.root = TRY(os::open_file(place(""), O_RDONLY | O_DIRECTORY)), .ignore = TRY(IgnoreRules::parse(rules))};
    outside.digests = digests_;
    outside.now_ns = (now.tv_sec + age) * 1'000'000'000ll;
    outside.extra = {{"Dockerfile", "FROM scratch"}};
    return ContextTree::from_directory(std::move(outside), scratch);
  }
  void write(const std::string& name, const std::string& text) { ASSERT_TRUE(os::write_file(place(name), text, O_CREAT | O_TRUNC)); }
  std::string place(const std::string& name) const { return d_ / ("context/" + name); }
  void SetUp() override { ASSERT_TRUE(os::make_dirs(place("sub"))); }
  std::string copied(const ContextTree& tree, const std::string& path) {
    Fd out = *os::open_file(d_ / "out", O_RDWR | O_CREAT | O_TRUNC, 0600);
    auto done = tree.copy_content(path, out.get());
    return done ? *os::read_file(d_ / "out") : done.error().message;
  }

  TemporaryDirectory d_;
  std::shared_ptr<DigestCache> digests_ = std::make_shared<DigestCache>();
  int trees_ = 0;
};

TEST_F(DirectoryContext, IsSeenAsItsTarWouldBe) {
  write("a", "one");
  write("sub/b", "two");
  write("ignored", "");
  ASSERT_TRUE(os::make_symlink("../a", place("sub/link")));
  auto tree = open(10, "ignored\n");
  ASSERT_TRUE(tree) << tree.error().message;
  EXPECT_EQ(*(*tree)->list(""), (std::vector<std::string>{"Dockerfile", "a", "sub"}));
  EXPECT_EQ((*(*tree)->look("sub/link"))->link, "../a");
  EXPECT_EQ(*(*tree)->read("Dockerfile", 100), "FROM scratch");
  EXPECT_EQ(*(*tree)->digest("sub/b"), image::digest_of("two"));
  EXPECT_EQ(copied(**tree, "a"), "one");
  EXPECT_FALSE((*tree)->give_content("a", d_ / "given")) << "the user's own file became part of a layer";
}

TEST_F(DirectoryContext, WhatIsKnownIsNotReadAgain) {
  write("a", "one");
  ASSERT_EQ(*(*open(10))->digest("a"), image::digest_of("one"));
  struct stat st = *os::lstat_file(place("a"));
  EXPECT_EQ(digests_->find(identity_of(st)), image::digest_of("one"));
  digests_->put(identity_of(st), image::digest_of("known"));
  EXPECT_EQ(*(*open(10))->digest("a"), image::digest_of("known"));
  // The same size, and the time put back: the ctime is another.
  write("a", "two");
  const timespec times[2] = {st.st_atim, st.st_mtim};
  ASSERT_EQ(::utimensat(AT_FDCWD, place("a").c_str(), times, 0), 0);
  EXPECT_EQ(*(*open(10))->digest("a"), image::digest_of("two"));
  // Another file in its place.
  write("new", "six");
  ASSERT_TRUE(os::rename_file(place("new"), place("a")));
  EXPECT_EQ(*(*open(10))->digest("a"), image::digest_of("six"));
}

TEST_F(DirectoryContext, FreshFilesAreReadEachTime) {
  write("a", "one");
  ASSERT_EQ(*(*open(0))->digest("a"), image::digest_of("one"));
  EXPECT_FALSE(digests_->find(identity_of(*os::lstat_file(place("a")))));
  // Should it change within the clock's grain, copying notices: here what is known of it is wrong.
  auto tree = *open(0);
  digests_->put(identity_of(*os::lstat_file(place("a"))), image::digest_of("another"));
  ASSERT_EQ(*tree->digest("a"), image::digest_of("another"));
  EXPECT_NE(copied(*tree, "a").find("has changed while it was built from"), std::string::npos);
}

TEST_F(DirectoryContext, AFileThatChangesMeanwhileIsNamed) {
  write("a", "one");
  write("b", "one");
  auto tree = *open(10);
  ASSERT_EQ(*tree->digest("a"), image::digest_of("one"));
  write("a", "longer");
  ASSERT_EQ(::unlink(place("b").c_str()), 0);
  EXPECT_EQ(copied(*tree, "a"), "\"a\" in the build context has changed while it was built from: build again");
  EXPECT_EQ(tree->digest("b").error().code, Code::conflict);
  EXPECT_EQ(tree->read("a", 100).error().code, Code::conflict);
  EXPECT_EQ(tree->settle().error().code, Code::conflict);
  ASSERT_TRUE(os::make_symlink("/etc/passwd", place("b")));
  EXPECT_EQ(tree->digest("b").error().code, Code::conflict);
}

TEST_F(DirectoryContext, OnceSettledItMayChange) {
  write("a", "one");
  write("sub/large", std::string(Contents::large, 'x'));
  auto tree = *open(0);
  ASSERT_TRUE(tree->settle());
  write("a", "other");
  write("sub/large", "");
  EXPECT_EQ(copied(*tree, "a"), "one");
  EXPECT_EQ(*tree->digest("a"), image::digest_of("one"));
  EXPECT_EQ(*tree->digest("sub/large"), image::digest_of(std::string(Contents::large, 'x')));
  EXPECT_TRUE(tree->give_content("sub/large", d_ / "given"));
  EXPECT_FALSE(tree->give_content("sub/large", d_ / "again")) << "two layers would share a file";
  EXPECT_EQ(copied(*tree, "sub/large").size(), Contents::large);
}

TEST(DigestCache, ForgetsWhatWasNotAskedForLongest) {
  DigestCache cache(2);
  auto file = [](uint64_t inode) { return FileIdentity{.device = 1, .inode = inode, .size = 5, .mtime_ns = 6, .ctime_ns = 7}; };
  const std::string digest = image::digest_of("x");
  for (uint64_t inode : {1, 2, 3}) cache.put(file(inode), digest);
  EXPECT_EQ(cache.find(file(1)), digest);
  for (uint64_t inode : {4, 5, 6}) cache.put(file(inode), digest);
  EXPECT_FALSE(cache.find(file(2)));
  EXPECT_EQ(cache.find(file(6)), digest);
}

TEST(DigestCache, FreshIsWhatChangedLately) {
  const int64_t second = 1'000'000'000;
  EXPECT_TRUE(is_fresh({.mtime_ns = 100 * second, .ctime_ns = 0}, 101 * second));
  EXPECT_TRUE(is_fresh({.mtime_ns = 0, .ctime_ns = 100 * second}, 101 * second));
  EXPECT_TRUE(is_fresh({.mtime_ns = 200 * second, .ctime_ns = 0}, 101 * second)) << "a time to come tells nothing";
  EXPECT_FALSE(is_fresh({.mtime_ns = 100 * second, .ctime_ns = 100 * second}, 103 * second));
}

TEST(ContextTree, LargeFilesCanBeGivenAway) {
  TemporaryDirectory directory;
  const std::string content(Contents::large + 3, 'y');
  auto tree = open_tar(directory, TarText().file("large", content).hardlink("same", "large").file("small", "s").text());
  ASSERT_TRUE(tree) << tree.error().message;
  EXPECT_FALSE((*tree)->give_content("small", directory / "s"));
  EXPECT_TRUE((*tree)->give_content("same", directory / "given"));
  EXPECT_FALSE((*tree)->give_content("large", directory / "again"));
  EXPECT_EQ(*os::read_file(directory / "given"), content);
  EXPECT_EQ(*(*tree)->read("large", 1 << 20), content);
}

TEST(ContextTree, IgnoredPathsAreLeftOut) {
  TemporaryDirectory directory;
  auto tree = *open_tar(directory, TarText().file("a/x", "").file("a/keep", "").file("b/y", "").file("c", "").text());
  tree->leave_out(*IgnoreRules::parse("a\nb\n!a/keep\n"));
  EXPECT_EQ(*tree->list(""), (std::vector<std::string>{"a", "c"}));
  EXPECT_EQ(*tree->list("a"), std::vector<std::string>{"keep"});
}

TEST(LayeredTree, ShowsWhatOverlayfsWould) {
  TemporaryDirectory d;
  for (const char* path : {"low/etc", "low/opaque", "low/gone", "up/etc", "up/opaque"}) ASSERT_TRUE(os::make_dirs(d / path));
  ASSERT_TRUE(os::write_file(d / "low/etc/passwd", "low", O_CREAT));
  ASSERT_TRUE(os::write_file(d / "low/etc/group", "group", O_CREAT));
  ASSERT_TRUE(os::write_file(d / "low/opaque/hidden", "", O_CREAT));
  ASSERT_TRUE(os::write_file(d / "up/etc/passwd", "up", O_CREAT));
  if (::mknod((d / "up/gone").c_str(), S_IFCHR | 0600, 0) != 0) GTEST_SKIP() << "needs CAP_MKNOD";
  if (::setxattr((d / "up/opaque").c_str(), "trusted.overlay.opaque", "y", 1, 0) != 0) GTEST_SKIP() << "needs trusted attributes";
  LayeredTree tree({d / "low", d / "up"});
  EXPECT_EQ(*tree.read("etc/passwd", 10), "up");
  EXPECT_EQ(*tree.read("etc/group", 10), "group");
  EXPECT_EQ(*tree.list("etc"), (std::vector<std::string>{"group", "passwd"}));
  EXPECT_FALSE(*tree.look("gone"));
  EXPECT_TRUE(tree.list("opaque")->empty());
  EXPECT_EQ(*tree.list(""), (std::vector<std::string>{"etc", "opaque"}));
  EXPECT_EQ(*tree.real_path("etc/group"), d / "low/etc/group");
}

TEST(Packer, PacksADirectoryWithoutOpeningWhatIsNoFile) {
  TemporaryDirectory d;
  ASSERT_TRUE(os::make_dirs(d / "c/src"));
  ASSERT_TRUE(os::write_file(d / "c/src/big", std::string(700'000, 'x'), O_CREAT));
  ASSERT_TRUE(os::write_file(d / "c/secret.env", "x", O_CREAT));
  ASSERT_TRUE(os::write_file(d / "c/Dockerfile", "FROM scratch", O_CREAT));
  ASSERT_TRUE(os::write_file(d / "c/.dockerignore", "*.env\nDockerfile\n", O_CREAT));
  ASSERT_TRUE(os::make_fifo(d / "c/pipe", 0644));
  ASSERT_TRUE(os::make_symlink("/etc/passwd", d / "c/link"));
  bool found = false;
  auto packer =
      Packer::open({.directory = d / "c", .ignore = *read_ignore_rules(d / "c", "Dockerfile", &found), .extra = {{"extra", "more"}}});
  ASSERT_TRUE(packer) << packer.error().message;
  EXPECT_TRUE(found);
  std::string bytes;
  while (true) {
    auto piece = (*packer)->next();
    ASSERT_TRUE(piece) << piece.error().message;
    if (piece->empty()) break;
    bytes += *piece;
  }
  auto tree = open_tar(d, bytes);
  ASSERT_TRUE(tree) << tree.error().message;
  EXPECT_EQ(*(*tree)->list(""), (std::vector<std::string>{".dockerignore", "Dockerfile", "extra", "link", "pipe", "src"}));
  EXPECT_EQ((*(*tree)->look("pipe"))->type, FileInfo::Type::fifo);
  EXPECT_EQ((*(*tree)->look("link"))->link, "/etc/passwd");
  EXPECT_EQ(*(*tree)->digest("src/big"), image::digest_of(std::string(700'000, 'x')));
}

}  // namespace
}  // namespace estiba::build
