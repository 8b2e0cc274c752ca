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
