#include "store/embedded/embedded.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <future>

#include "store/testing/store_suite.h"
#include "store/testing/temp_directory.h"

namespace estiba::store {
namespace {

class EmbeddedFactory : public StoreFactory {
 public:
  std::unique_ptr<Store> open(size_t history) override {
    EmbeddedOptions options{.directory = directory_.path()};
    options.history = {.events = history, .bytes = 64 << 20, .least_age = Duration(0)};
    auto store = open_embedded(std::move(options));
    EXPECT_TRUE(store) << store.error().message;
    return store ? std::move(*store) : nullptr;
  }
  std::optional<uint64_t> syncs(Store& store) override { return static_cast<EmbeddedStore&>(store).counters().batches; }

 private:
  TempDirectory directory_;
};

std::unique_ptr<StoreFactory> embedded() { return std::make_unique<EmbeddedFactory>(); }

INSTANTIATE_TEST_SUITE_P(Embedded, StoreSuite, testing::Values(embedded));

Result<WriteResult> write(Store& store, Write write) {
  std::promise<void> answered;
  std::optional<Result<WriteResult>> result;
  store.write(std::move(write), [&](Result<WriteResult> r) {
    result.emplace(std::move(r));
    answered.set_value();
  });
  answered.get_future().wait();
  return std::move(*result);
}
Result<WriteResult> put(Store& store, std::string key, std::string value) {
  return write(store, {Write::Kind::put, std::move(key), std::move(value), Write::any, nullptr});
}
Result<WriteResult> remove(Store& store, std::string key) {
  return write(store, {Write::Kind::remove, std::move(key), {}, Write::any, nullptr});
}

class EmbeddedFile : public testing::Test {
 public:
  Result<std::unique_ptr<EmbeddedStore>> open() { return open_embedded({.directory = directory_.path()}); }
  std::unique_ptr<EmbeddedStore> must_open() {
    auto store = open();
    EXPECT_TRUE(store) << store.error().message;
    return store ? std::move(*store) : nullptr;
  }
  std::string file() const { return directory_.path() + "/store.db"; }
  std::string open_error(Code code) {
    auto store = open();
    EXPECT_FALSE(store);
    if (store) return {};
    EXPECT_EQ(store.error().code, code) << store.error().message;
    return store.error().message;
  }
  // Overwrites the first occurrence of `what` in the file.
  void damage(std::string_view what, std::string_view with) {
    int fd = ::open(file().c_str(), O_RDWR | O_CLOEXEC);
    ASSERT_GE(fd, 0);
    std::string all(1 << 20, '\0');
    all.resize(static_cast<size_t>(pread(fd, all.data(), all.size(), 0)));
    size_t at = all.find(what);
    ASSERT_NE(at, std::string::npos);
    ASSERT_EQ(pwrite(fd, with.data(), with.size(), static_cast<off_t>(at)), static_cast<ssize_t>(with.size()));
    close(fd);
  }

  TempDirectory directory_;
};

TEST_F(EmbeddedFile, AllIsThereAgainAfterARestart) {
  Revision a = 0, b = 0;
  {
    auto store = must_open();
    put(*store, "/k/1", "one");
    a = put(*store, "/k/2", "two")->revision;
    b = put(*store, "/k/1", "uno")->revision;
  }
  auto store = must_open();
  EXPECT_EQ(store->revision(), b);
  auto entry = *store->get("/k/1");
  EXPECT_EQ(entry->value, "uno");
  EXPECT_EQ(entry->create_revision, a - 1);
  EXPECT_EQ(entry->mod_revision, b);
  EXPECT_EQ(entry->version, 2);
  EXPECT_EQ(store->count("/k/"), 2u);
  EXPECT_EQ(store->watch("/k/", a).error().code, Code::gone) << "history is not kept over a restart";
  EXPECT_TRUE(store->watch("/k/", b)) << "but who saw everything goes on";
}

TEST_F(EmbeddedFile, RevisionsGoOnAfterTheLastWriteWasARemoval) {
  Revision removed = 0;
  {
    auto store = must_open();
    put(*store, "/k", "x");
    removed = remove(*store, "/k")->revision;
  }
  {
    auto store = must_open();
    EXPECT_EQ(store->revision(), removed);
    EXPECT_EQ(put(*store, "/k", "y")->revision, removed + 1);
    EXPECT_EQ(put(*store, "/k", "z")->revision, removed + 2);
  }
  EXPECT_EQ(must_open()->revision(), removed + 2);
}

TEST_F(EmbeddedFile, OnlyTheOwnerMayReadTheFiles) {
  auto store = must_open();
  put(*store, "/k", "x");
  for (const char* suffix : {"", "-wal", "-reserve"}) {
    struct stat info;
    ASSERT_EQ(stat((file() + suffix).c_str(), &info), 0) << suffix;
    EXPECT_EQ(info.st_mode & 0777, 0600u) << suffix;
  }
}

TEST_F(EmbeddedFile, ClosingAnswersTheWritesThatWait) {
  std::atomic<int> answered{0};
  {
    auto store = must_open();
    for (int i = 0; i < 500; ++i) {
      store->write({Write::Kind::put, "/k/" + std::to_string(i), "v", 0, nullptr},
                   [&](Result<WriteResult> r) { answered += r.has_value(); });
    }
  }
  EXPECT_EQ(answered, 500);
  EXPECT_EQ(must_open()->count("/k/"), 500u);
}

TEST_F(EmbeddedFile, AWatchMayOutliveTheStore) {
  auto store = must_open();
  auto watch = std::move(*store->watch("/", 0));
  put(*store, "/k", "v");
  store.reset();
  std::vector<Event> events;
  EXPECT_EQ(*watch->poll(events, 10), 1u);
}

TEST_F(EmbeddedFile, ASecondProcessIsRefusedWithDirectoryAndPid) {
  int ready[2], finish[2];
  ASSERT_EQ(pipe(ready), 0);
  ASSERT_EQ(pipe(finish), 0);
  pid_t child = fork();
  if (child == 0) {
    auto store = open();
    char c = store ? 'y' : 'n';
    (void)!::write(ready[1], &c, 1);
    close(finish[1]);
    (void)!read(finish[0], &c, 1);
    _exit(0);
  }
  char c = 0;
  ASSERT_EQ(read(ready[0], &c, 1), 1);
  EXPECT_EQ(c, 'y');
  std::string message = open_error(Code::conflict);
  EXPECT_NE(message.find(directory_.path()), std::string::npos) << message;
  EXPECT_NE(message.find("process " + std::to_string(child) + ";"), std::string::npos) << message;
  for (int fd : {ready[0], ready[1], finish[0], finish[1]}) close(fd);
  waitpid(child, nullptr, 0);
  EXPECT_TRUE(open()) << "the lock ends with the process";
}

TEST_F(EmbeddedFile, MissingDirectoriesAreMade) {
  std::string deep = directory_.path() + "/a/b";
  EXPECT_TRUE(open_embedded({.directory = deep}));
  struct stat info;
  ASSERT_EQ(stat(deep.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
  for (const char* name : {"/a/b/store.db", "/a/b/store.db-reserve", "/a/b/lock"}) unlink((directory_.path() + name).c_str());
  rmdir(deep.c_str());
  rmdir((directory_.path() + "/a").c_str());
}

TEST_F(EmbeddedFile, AFileOfAnotherKindIsRefused) {
  int fd = ::open(file().c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  std::string text(8192, 'n');
  ASSERT_EQ(::write(fd, text.data(), text.size()), 8192);
  close(fd);
  EXPECT_NE(open_error(Code::invalid).find(file()), std::string::npos);
}

TEST_F(EmbeddedFile, AnotherFormatIsRefused) {
  must_open();
  // Offset 60 of the header is user_version, big-endian (sqlite.org/fileformat.html, "The Database Header").
  int fd = ::open(file().c_str(), O_WRONLY | O_CLOEXEC);
  ASSERT_EQ(pwrite(fd, "\0\0\0\2", 4, 60), 4);
  close(fd);
  std::string message = open_error(Code::invalid);
  EXPECT_NE(message.find(file() + " has format 2"), std::string::npos) << message;
}

TEST_F(EmbeddedFile, AFlippedByteInAValueIsFound) {
  put(*must_open(), "/k/here", "a value that rots");
  damage("that rots", "that rotz");
  std::string message = open_error(Code::internal);
  EXPECT_NE(message.find(file()), std::string::npos) << message;
  EXPECT_NE(message.find("/k/here"), std::string::npos) << message;
}

TEST_F(EmbeddedFile, ADamagedPageIsFound) {
  {
    auto store = must_open();
    for (int i = 0; i < 50; ++i) put(*store, "/k/" + std::to_string(i), std::string(500, 'v'));
  }
  struct stat info;
  ASSERT_EQ(stat(file().c_str(), &info), 0);
  int fd = ::open(file().c_str(), O_WRONLY | O_CLOEXEC);
  std::string junk(4096, '\x5a');
  ASSERT_EQ(pwrite(fd, junk.data(), junk.size(), info.st_size - 4096), 4096);
  close(fd);
  std::string message = open_error(Code::internal);
  EXPECT_NE(message.find(file()), std::string::npos) << message;
  EXPECT_NE(message.find("backup"), std::string::npos) << message;
}

TEST_F(EmbeddedFile, TooLargeAValueIsRefusedAlone) {
  auto store = *open_embedded({.directory = directory_.path(), .value_bytes = 100});
  EXPECT_EQ(put(*store, "/k", std::string(101, 'x')).error().code, Code::too_large);
  EXPECT_TRUE(put(*store, "/k", std::string(100, 'x')));
}

TEST_F(EmbeddedFile, TheRingIsBoundedInBytesButKeepsTheLastSecond) {
  Instant now{};
  auto options = [&] {
    EmbeddedOptions o{.directory = directory_.path()};
    o.history.bytes = 1 << 20;
    o.now = [&now] { return now; };
    return o;
  };
  auto store = *open_embedded(options());
  Revision start = store->revision();
  std::string value(100'000, 'x');
  for (int i = 0; i < 40; ++i) put(*store, "/k", value);
  EXPECT_TRUE(store->watch("/k", start)) << "4 MB, but all of this second";
  now += std::chrono::seconds(2);
  Revision later = put(*store, "/k", value)->revision;
  EXPECT_EQ(store->watch("/k", start).error().code, Code::gone);
  EXPECT_TRUE(store->watch("/k", later - 5));
}

TEST_F(EmbeddedFile, WhatIsOlderThanFiveMinutesGoesWithTheNextWrite) {
  Instant now{};
  EmbeddedOptions options{.directory = directory_.path()};
  options.now = [&now] { return now; };
  auto store = *open_embedded(std::move(options));
  const Revision first = put(*store, "/k/a", "1")->revision;
  put(*store, "/k/a", "1b");
  auto idle = *store->watch("/other/", first);
  std::atomic<bool> rang = false;
  idle->arm([&rang] {
    rang = true;
    rang.notify_all();
  });
  now += std::chrono::minutes(4);
  put(*store, "/k/a", "2");
  EXPECT_TRUE(store->watch("/k/", first));
  EXPECT_EQ((*store->get("/k/a", first))->value, "1");
  now += std::chrono::minutes(2);
  const Revision last = put(*store, "/k/a", "3")->revision;
  EXPECT_EQ(store->watch("/k/", first).error().code, Code::gone);
  EXPECT_EQ(store->get("/k/a", first).error().code, Code::gone);
  EXPECT_TRUE(store->watch("/k/", last - 1)) << "what is younger stays";
  // Who watches something else has missed nothing.
  put(*store, "/other/b", "1");
  rang.wait(false);
  std::vector<Event> events;
  EXPECT_EQ(*idle->poll(events, 10), 1u);
}

// A small file system of its own, in a mount namespace that only this test's child process is in.
class EmbeddedDiskFull : public EmbeddedFile {
 public:
  std::string filler() const { return directory_.path() + "/filler"; }
  // Takes what room is left.
  void fill() {
    int fd = ::open(filler().c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    std::string block(4096, 'f');
    while (::write(fd, block.data(), block.size()) > 0) {
    }
    close(fd);
  }
  // Runs `body` in a child with a tmpfs of `bytes` on the directory.
  void run_on(const char* bytes, void (*body)(EmbeddedDiskFull&)) {
    pid_t child = fork();
    if (child == 0) {
      if (unshare(CLONE_NEWNS) < 0) _exit(77);
      if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0) _exit(77);
      std::string options = std::string("size=") + bytes;
      if (mount("tmpfs", directory_.path().c_str(), "tmpfs", 0, options.c_str()) < 0) _exit(77);
      body(*this);
      _exit(HasFailure() ? 1 : 0);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "needs the right to mount";
    EXPECT_EQ(WEXITSTATUS(status), 0);
  }
};

TEST_F(EmbeddedDiskFull, AFullDiskFailsWritesAndLosesNothing) {
  run_on("24m", [](EmbeddedDiskFull& test) {
    std::vector<std::string> acknowledged;
    std::string value(20'000, 'v');
    Revision last = 0;
    {
      auto store = test.must_open();
      int failures = 0;
      for (int i = 0; failures < 5 && i < 5000; ++i) {
        std::string key = "/k/" + std::to_string(i);
        auto result = put(*store, key, value);
        if (result) {
          acknowledged.push_back(key);
          last = result->revision;
          continue;
        }
        ++failures;
        EXPECT_EQ(result.error().code, Code::exhausted) << result.error().message;
        EXPECT_NE(result.error().message.find("store.db"), std::string::npos) << result.error().message;
        EXPECT_EQ(store->get(key).error().code, Code::not_found);
      }
      ASSERT_EQ(failures, 5);
      ASSERT_GT(acknowledged.size(), 100u);
      EXPECT_EQ(store->revision(), last) << "failed writes take no revision";
      EXPECT_EQ(store->count("/k/"), acknowledged.size()) << "reads go on";
    }
    auto store = test.must_open();
    EXPECT_EQ(store->revision(), last);
    for (auto& key : acknowledged) EXPECT_EQ((*store->get(key))->value, value);
  });
}

TEST_F(EmbeddedDiskFull, WritesWorkAgainWhenThereIsRoom) {
  run_on("24m", [](EmbeddedDiskFull& test) {
    auto store = test.must_open();
    put(*store, "/before", "x");
    test.fill();
    EXPECT_EQ(put(*store, "/big", std::string(300'000, 'x')).error().code, Code::exhausted);
    EXPECT_TRUE(store->get("/before"));
    unlink(test.filler().c_str());
    auto result = put(*store, "/big", std::string(300'000, 'x'));
    EXPECT_TRUE(result) << result.error().message;
    store.reset();
    store = test.must_open();
    EXPECT_EQ((*store->get("/big"))->value.size(), 300'000u);
    EXPECT_TRUE(store->get("/before"));
  });
}

TEST_F(EmbeddedDiskFull, ChangingAndRemovingGoOnWhenOthersFillTheDisk) {
  run_on("24m", [](EmbeddedDiskFull& test) {
    auto store = test.must_open();
    for (int i = 0; i < 100; ++i) put(*store, "/k/" + std::to_string(i), std::string(5'000, 'v'));
    test.fill();
    for (int i = 0; i < 3000; ++i) {
      auto result = put(*store, "/k/" + std::to_string(i % 100), std::string(5'000, static_cast<char>('a' + i % 26)));
      ASSERT_TRUE(result) << i << ": " << result.error().message;
    }
    EXPECT_EQ(put(*store, "/new", "x").error().code, Code::exhausted);
    for (int i = 0; i < 100; ++i) ASSERT_TRUE(remove(*store, "/k/" + std::to_string(i)));
    unlink(test.filler().c_str());
    EXPECT_TRUE(put(*store, "/new", "x"));
  });
}

TEST_F(EmbeddedDiskFull, AStoreThatFilledItsDiskCanBeEmptied) {
  run_on("24m", [](EmbeddedDiskFull& test) {
    auto store = test.must_open();
    int kept = 0;
    while (put(*store, "/k/" + std::to_string(kept), std::string(20'000, 'v'))) ++kept;
    for (int i = 0; i < kept; ++i) {
      auto result = remove(*store, "/k/" + std::to_string(i));
      ASSERT_TRUE(result) << i << " of " << kept << ": " << result.error().message;
    }
    store.reset();
    EXPECT_EQ(test.must_open()->count("/k/"), 0u);
  });
}

TEST_F(EmbeddedDiskFull, AStoreOpensOnAFullDisk) {
  run_on("24m", [](EmbeddedDiskFull& test) {
    put(*test.must_open(), "/k", "x");
    test.fill();
    auto store = test.must_open();
    EXPECT_TRUE(put(*store, "/k", "y")) << "with what the reserve holds";
    EXPECT_EQ(put(*store, "/new", "x").error().code, Code::exhausted);
    EXPECT_TRUE(remove(*store, "/k"));
  });
}

}  // namespace
}  // namespace estiba::store
