#include "os/resolve.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <thread>

#include "os/file.h"

namespace estiba::os {
namespace {

// What an open gave: the object, or the error.
struct Outcome {
  int error = 0;
  dev_t device = 0;
  ino_t inode = 0;
  mode_t type = 0;
  bool operator==(const Outcome&) const = default;
};

Outcome outcome_of(int fd, int err) {
  if (fd < 0) return {.error = err};
  struct stat info;
  EXPECT_EQ(fstat(fd, &info), 0);
  return {0, info.st_dev, info.st_ino, info.st_mode & S_IFMT};
}

std::ostream& operator<<(std::ostream& out, const Outcome& one) {
  return one.error ? out << strerror(one.error) : out << "inode " << one.inode << " of type " << one.type;
}

class ResolveTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/estiba-resolve-test-XXXXXX";
    dir = mkdtemp(name);
    ASSERT_TRUE(make_dirs(dir + "/root/a/b/c"));
    ASSERT_TRUE(make_dirs(dir + "/outside"));
    ASSERT_TRUE(write_file(dir + "/root/a/file", "inside", O_CREAT));
    ASSERT_TRUE(write_file(dir + "/outside/secret", "outside", O_CREAT));
    const std::pair<const char*, std::string> links[] = {{"to_a", "a"},
                                                         {"to_slash", "a/"},
                                                         {"absolute", "/a/file"},
                                                         {"up", "../../../../outside/secret"},
                                                         {"host", dir + "/outside"},
                                                         {"dangling", "/a/new"},
                                                         {"loop", "loop"},
                                                         {"deep", "a/b/../../to_a/b/c/../../file"},
                                                         {"a/b/back", "../../a"},
                                                         {"file_slash", "a/file/"},
                                                         {"root", "/"},
                                                         {"dot", "."}};
    for (const auto& [from, to] : links) ASSERT_TRUE(make_symlink(to, dir + "/root/" + from));
    for (int i = 0; i < 42; i++)
      ASSERT_TRUE(make_symlink(i ? "chain" + std::to_string(i - 1) : "a/file", dir + "/root/chain" + std::to_string(i)));
    root = *open_file(dir + "/root", O_PATH | O_DIRECTORY);
  }
  void TearDown() override {
    root.reset();
    EXPECT_TRUE(remove_all(dir));
  }

  void expect_same(int at, const std::string& path, int flags) {
    for (Resolve how : {Resolve::in_root, Resolve::beneath}) {
      const uint64_t resolve =
          how == Resolve::in_root ? RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS : RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
      open_how ask{};
      ask.flags = uint64_t(flags) | O_CLOEXEC;
      ask.mode = flags & O_CREAT ? 0600 : 0;
      ask.resolve = resolve;
      const Fd kernel(int(syscall(SYS_openat2, at, path.c_str(), &ask, sizeof ask)));
      const Outcome wanted = outcome_of(kernel.get(), errno);
      if (flags & O_CREAT) ::unlink((dir + "/root/a/new").c_str());
      auto ours = open_stepwise(at, path, flags, 0600, how);
      Outcome got = ours ? outcome_of(ours->get(), 0) : Outcome{.error = ours.error().sys};
      // Made anew, it is another file.
      if (flags & O_CREAT && !wanted.error && !got.error && wanted.type == S_IFREG && exists(dir + "/root/a/new")) got.inode = wanted.inode;
      ::unlink((dir + "/root/a/new").c_str());
      EXPECT_EQ(got, wanted) << path << " with flags " << std::oct << flags << (how == Resolve::in_root ? " in the root" : " beneath");
    }
  }

  std::string dir;
  Fd root;
};

TEST_F(ResolveTest, AnswersAsTheKernelDoes) {
  const char* paths[] = {".",         "/",        "..",       "a",       "a/",           "a/b/c",         "/a//b/./c/..",
                         "a/file",    "a/file/",  "a/file/x", "missing", "missing/x",    "to_a",          "to_a/",
                         "to_a/file", "to_slash", "absolute", "up",      "host",         "host/secret",   "dangling",
                         "dangling/", "loop",     "loop/x",   "deep",    "a/b/back",     "a/b/back/file", "file_slash",
                         "root",      "root/a",   "dot/a",    "../a",    "a/../../../a", "a/..",          "chain38",
                         "chain39",   "chain40",  "chain41",  "a/new",   "a/./",         "a/missing/..",  "a/b/c/../../../.."};
  for (const char* path : paths)
    for (int flags : {O_PATH, O_PATH | O_DIRECTORY, O_PATH | O_NOFOLLOW, O_PATH | O_NOFOLLOW | O_DIRECTORY, O_RDONLY,
                      O_RDONLY | O_DIRECTORY, O_RDONLY | O_NOFOLLOW, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, O_RDWR | O_CREAT,
                      O_RDONLY | O_CREAT | O_NOFOLLOW, O_RDWR | O_CREAT | O_EXCL})
      expect_same(root.get(), path, flags);
}

TEST_F(ResolveTest, MagicLinksOfProcLeadNowhere) {
  const Fd proc = *open_file("/proc", O_PATH | O_DIRECTORY);
  for (const char* path : {"self", "self/status", "thread-self/status", "mounts", "self/root", "self/root/tmp", "self/cwd", "self/exe",
                           "self/fd/0", "self/ns/mnt"})
    for (int flags : {O_PATH, O_RDONLY, O_PATH | O_NOFOLLOW}) {
      // Another instance of the file each time, so the object is not compared.
      auto ours = open_stepwise(proc.get(), path, flags, 0, Resolve::in_root);
      open_how ask{};
      ask.flags = uint64_t(flags) | O_CLOEXEC;
      ask.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
      const Fd kernel(int(syscall(SYS_openat2, proc.get(), path, &ask, sizeof ask)));
      const int err = kernel ? 0 : errno;
      EXPECT_EQ(ours ? 0 : ours.error().sys, err) << path << " with flags " << flags;
    }
}

TEST_F(ResolveTest, PathsThatAreTooLong) {
  expect_same(root.get(), std::string(300, 'x'), O_PATH);
  std::string far;
  for (int i = 0; i < 1000; i++) far += "a/../";
  expect_same(root.get(), far + "a", O_PATH);
}

// Somebody swaps a directory for a link out of the root, and moves the directory that is being walked out of it.
TEST_F(ResolveTest, WhoeverChangesThePathMeanwhileLeadsNowhereOutside) {
  ASSERT_TRUE(make_dirs(dir + "/root/x/y"));
  ASSERT_TRUE(write_file(dir + "/root/secret", "inside", O_CREAT));
  ASSERT_TRUE(write_file(dir + "/secret", "outside", O_CREAT));
  ASSERT_TRUE(make_symlink("../../../../outside", dir + "/link"));
  std::atomic<bool> stop = false;
  std::thread hostile([&] {
    const std::string here = dir + "/root/x/y", away = dir + "/away";
    while (!stop) {
      ::rename(here.c_str(), away.c_str());
      ::rename((dir + "/link").c_str(), here.c_str());
      ::rename(here.c_str(), (dir + "/link").c_str());
      ::rename(away.c_str(), here.c_str());
    }
  });
  int found = 0;
  for (int i = 0; i < 3000; i++) {
    for (const char* path : {"x/y/../../secret", "x/y/../../../secret", "x/y/secret", "x/y/../../../../../secret"}) {
      auto fd = open_stepwise(root.get(), path, O_RDONLY, 0, Resolve::in_root);
      if (!fd) continue;
      EXPECT_EQ(*read_all(fd->get()), "inside");
      found++;
    }
  }
  stop = true;
  hostile.join();
  EXPECT_GT(found, 0);
}

}  // namespace
}  // namespace estiba::os
