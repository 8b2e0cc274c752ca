#include "node/log_reader.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/fd.h"
#include "io/loop.h"

namespace estiba::node {
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
    Event stopped;
    auto done = loop.block_on(read_log(name, options, [] { return false; }, &stopped, [&out](std::string text) -> Task<Result<void>> {
      return [](std::string* to, std::string what) -> Task<Result<void>> {
        *to += what;
        co_return {};
      }(&out, std::move(text));
    }));
    EXPECT_TRUE(done);
    return out;
  }
};

constexpr const char* three = "2026-11-21T02:00:00.000000001Z stdout F one\n2026-11-21T02:00:01.000000000Z stderr P tw\n"
                              "2026-11-21T02:00:01.000000001Z stderr F o\n2026-11-21T02:00:02.000000000Z stdout F \n";

TEST_F(Logs, JoinsPartialLinesAndFilters) {
  add(three);
  EXPECT_EQ(read({}), "one\ntwo\n\n");
  EXPECT_EQ(read({.timestamps = true}), "2026-11-21T02:00:00.000000001Z one\n2026-11-21T02:00:01.000000000Z two\n2026-11-21T02:00:02.000000000Z \n");
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
  Event stopped;
  auto later = [](Logs* self, bool* runs, Event* stopped) -> Task<void> {
    co_await sleep_for(20ms);
    self->add("2026-11-21T02:00:00.000000001Z stdout F two\n");
    co_await sleep_for(20ms);
    *runs = false;
    stopped->set();
  };
  auto both = [](Logs* self, bool* runs, Event* stopped, std::string* out, Task<void> other) -> Task<Result<void>> {
    TaskGroup group;
    group.start(std::move(other));
    co_return co_await read_log(self->name, {.follow = true}, [runs] { return *runs; }, stopped, [out](std::string text) {
      return [](std::string* to, std::string what) -> Task<Result<void>> {
        *to += what;
        co_return {};
      }(out, std::move(text));
    });
  };
  ASSERT_TRUE(loop.block_on(both(this, &runs, &stopped, &out, later(this, &runs, &stopped))));
  EXPECT_EQ(out, "one\ntwo\n");
}

TEST(LogOptions, BadValuesNameTheParameter) {
  auto parse = [](std::string key, std::string value) {
    return parse_log_options([&](std::string_view name) { return name == key ? std::string_view(value) : std::string_view{}; }, {});
  };
  EXPECT_EQ(parse("tailLines", "-1").error().message, "tailLines must be a number of at least 0, not \"-1\"");
  EXPECT_FALSE(parse("sinceTime", "yesterday"));
  EXPECT_TRUE(parse("follow", "true")->follow);
}

}  // namespace
}  // namespace estiba::node
