#include "engine/log_reader.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/time.h"
#include "engine/files.h"
#include "io/loop.h"

namespace estiba::engine {
namespace {

using namespace std::chrono_literals;

struct Logs : testing::Test {
  char name[32] = "/tmp/estiba-log-XXXXXX";
  io::Loop loop;
  void SetUp() override { Fd made(mkstemp(name)); }
  void TearDown() override { unlink(name); }
  void add(const std::string& text) {
    Fd fd(open(name, O_WRONLY | O_APPEND | O_CREAT, 0600));
    ASSERT_EQ(write(fd.get(), text.data(), text.size()), ssize_t(text.size()));
  }
  std::string read(LogOptions options) {
    std::string out;
    estiba::Event stopped;
    auto done = loop.block_on(read_log(
        name, options, [] { return false; }, &stopped,
        [&out](std::string text) -> Task<Result<void>> {
          return [](std::string* to, std::string what) -> Task<Result<void>> {
            *to += what;
            co_return {};
          }(&out, std::move(text));
        }));
    EXPECT_TRUE(done);
    return out;
  }
};

constexpr const char* three =
    "2026-11-21T02:00:00.000000001Z stdout F one\n2026-11-21T02:00:01.000000000Z stderr P tw\n"
    "2026-11-21T02:00:01.000000001Z stderr F o\n2026-11-21T02:00:02.000000000Z stdout F \n";

TEST_F(Logs, JoinsPartialLinesAndFilters) {
  add(three);
  EXPECT_EQ(read({}), "one\ntwo\n\n");
  EXPECT_EQ(read({.timestamps = true}),
            "2026-11-21T02:00:00.000000001Z one\n2026-11-21T02:00:01.000000000Z two\n2026-11-21T02:00:02.000000000Z \n");
  EXPECT_EQ(read({.stream = "stdout"}), "one\n\n");
  EXPECT_EQ(read({.limit_bytes = 5}), "one\nt");
  EXPECT_EQ(read({.tail_lines = 1}), "\n");
  EXPECT_EQ(read({.tail_lines = 0}), "");
  EXPECT_EQ(read({.tail_lines = 100}), "one\ntwo\n\n");
}

TEST_F(Logs, TailsLongFiles) {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += "2026-11-21T02:00:00.000000001Z stdout F line number " + std::to_string(i) + "\n";
  add(text);
  EXPECT_EQ(read({.tail_lines = 2}), "line number 4998\nline number 4999\n");
}

TEST_F(Logs, FollowsUntilTheContainerEnds) {
  add("2026-11-21T02:00:00.000000001Z stdout F one\n");
  std::string out;
  bool runs = true;
  estiba::Event stopped;
  auto later = [](Logs* self, bool* runs, estiba::Event* stopped) -> Task<void> {
    co_await sleep_for(20ms);
    self->add("2026-11-21T02:00:00.000000001Z stdout F two\n");
    co_await sleep_for(20ms);
    *runs = false;
    stopped->set();
  };
  auto both = [](Logs* self, bool* runs, estiba::Event* stopped, std::string* out, Task<void> other) -> Task<Result<void>> {
    TaskGroup group;
    group.start(std::move(other));
    co_return co_await read_log(
        self->name, {.follow = true}, [runs] { return *runs; }, stopped,
        [out](std::string text) {
          return [](std::string* to, std::string what) -> Task<Result<void>> {
            *to += what;
            co_return {};
          }(out, std::move(text));
        });
  };
  ASSERT_TRUE(loop.block_on(both(this, &runs, &stopped, &out, later(this, &runs, &stopped))));
  EXPECT_EQ(out, "one\ntwo\n");
}

TEST_F(Logs, TailCountsLinesNotParts) {
  add(three);
  EXPECT_EQ(read({.tail_lines = 2}), "two\n\n");
  EXPECT_EQ(read({.tail_lines = 3}), "one\ntwo\n\n");
}

TEST_F(Logs, EndsAtUntilAndBeginsAtSince) {
  add(three);
  auto at = [](const char* text) { return *parse_rfc3339(text); };
  EXPECT_EQ(read({.until = at("2026-11-21T02:00:01Z")}), "one\ntw");
  EXPECT_EQ(read({.since = at("2026-11-21T02:00:02Z")}), "\n");
  EXPECT_EQ(read({.since = at("2026-11-21T02:00:01Z"), .until = at("2026-11-21T02:00:01.5Z")}), "two\n");
}

TEST_F(Logs, FramesAreDockers) {
  add(three);
  EXPECT_EQ(read({.frames = true}),
            std::string("\1\0\0\0\0\0\0\4one\n\2\0\0\0\0\0\0\2tw\2\0\0\0\0\0\0\2o\n\1\0\0\0\0\0\0\1\n", 12 + 10 + 10 + 9));
}

TEST_F(Logs, ForeignTimesAreUnderstood) {
  add("2026-11-21T03:00:00.5+01:00 stdout F early\n2026-11-21T03:00:02+01:00 stdout F late\nnonsense\n");
  EXPECT_EQ(read({.since = *parse_rfc3339("2026-11-21T02:00:01Z")}), "late\n");
}

TEST_F(Logs, RotatedFilesAreReadToo) {
  const std::string old = std::string(name) + ".20261121-020000.000000000", older = std::string(name) + ".20261121-010000.000000000";
  add("2026-11-21T02:00:02.000000000Z stdout F three\n");
  ASSERT_TRUE(write_file(old, "2026-11-21T02:00:01.000000000Z stdout F two\n"));
  ASSERT_TRUE(write_file(older, "2026-11-21T02:00:00.000000000Z stdout F zero\n2026-11-21T02:00:00.000000000Z stdout F one\n"));
  EXPECT_EQ(read({}), "three\n");
  EXPECT_EQ(read({.rotated = true}), "zero\none\ntwo\nthree\n");
  EXPECT_EQ(read({.rotated = true, .tail_lines = 3}), "one\ntwo\nthree\n");
  EXPECT_EQ(read({.rotated = true, .tail_lines = 2}), "two\nthree\n");
  EXPECT_EQ(read({.rotated = true, .tail_lines = 9}), "zero\none\ntwo\nthree\n");
  unlink(old.c_str());
  unlink(older.c_str());
}

// The reader is behind by several rotations and misses nothing of what is left.
TEST_F(Logs, FollowsOverRotations) {
  add("2026-11-21T02:00:00.000000000Z stdout F 0\n");
  std::string out;
  bool runs = true;
  estiba::Event stopped;
  auto sink = [this, &out, &runs, &stopped](std::string text) -> Task<Result<void>> {
    if (out.empty()) {
      for (int i = 1; i <= 3; ++i) {
        EXPECT_EQ(::rename(name, (std::string(name) + ".20261121-02000" + std::to_string(i) + ".000000000").c_str()), 0);
        add("2026-11-21T02:00:00.000000000Z stdout F " + std::to_string(i) + "\n");
      }
      runs = false;
      stopped.set();
    }
    return [](std::string* to, std::string what) -> Task<Result<void>> {
      *to += what;
      co_return {};
    }(&out, std::move(text));
  };
  ASSERT_TRUE(loop.block_on(read_log(name, {.follow = true, .rotated = true}, [&runs] { return runs; }, &stopped, sink)));
  EXPECT_EQ(out, "0\n1\n2\n3\n");
  for (int i = 1; i <= 3; ++i) unlink((std::string(name) + ".20261121-02000" + std::to_string(i) + ".000000000").c_str());
}

}  // namespace
}  // namespace estiba::engine
