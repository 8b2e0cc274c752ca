#include "runtime/container_log.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>

#include "base/strings.h"
#include "base/time.h"
#include "os/file.h"

namespace estiba::runtime {
namespace {

class ContainerLogTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/estiba-log-test-XXXXXX";
    dir = mkdtemp(name);
    path = dir + "/pod/web/0.log";
    now = *parse_rfc3339("2026-11-21T02:26:38.123456789Z");
  }
  void TearDown() override { ASSERT_TRUE(os::remove_all(dir)); }
  std::string text() { return os::read_file(path).value_or(""); }
  std::vector<std::string> files() {
    std::vector<std::string> out;
    for (auto& entry : *os::list_dir(dir + "/pod/web")) out.push_back(entry.name);
    std::sort(out.begin(), out.end());
    return out;
  }
  std::string dir, path;
  WallTime now{};
  ContainerLog log;
};

TEST_F(ContainerLogTest, WritesWholeLinesInCriFormat) {
  ASSERT_TRUE(log.open({.path = path}));
  log.write(ContainerLog::standard_output, "one\ntwo", now);
  log.write(ContainerLog::standard_error, "oops\n", now);
  log.write(ContainerLog::standard_output, " and a half\n\n", now);
  EXPECT_EQ(text(),
            "2026-11-21T02:26:38.123456789Z stdout F one\n"
            "2026-11-21T02:26:38.123456789Z stderr F oops\n"
            "2026-11-21T02:26:38.123456789Z stdout F two and a half\n"
            "2026-11-21T02:26:38.123456789Z stdout F \n");
}

TEST_F(ContainerLogTest, AnUnfinishedLineIsAPartAtTheEnd) {
  ASSERT_TRUE(log.open({.path = path}));
  log.write(ContainerLog::standard_output, "no newline", now);
  EXPECT_EQ(text(), "");
  log.finish(now);
  EXPECT_EQ(text(), "2026-11-21T02:26:38.123456789Z stdout P no newline\n");
}

TEST_F(ContainerLogTest, LongLinesAreSplitAndCanBePutTogetherAgain) {
  ASSERT_TRUE(log.open({.path = path}));
  std::string line(3 * ContainerLog::max_line + 5, 'x');
  // In pieces that do not fit the limit.
  for (size_t at = 0; at < line.size(); at += 5000) log.write(ContainerLog::standard_output, std::string_view(line).substr(at, 5000), now);
  log.write(ContainerLog::standard_output, "\nnext\n", now);
  std::string joined, all = text();
  std::vector<std::string> tags;
  for (std::string_view entry : split(all, '\n')) {
    if (entry.empty()) continue;
    tags.emplace_back(entry.substr(38, 1));
    if (tags.size() <= 4) joined.append(entry.substr(40));
  }
  EXPECT_EQ(tags, (std::vector<std::string>{"P", "P", "P", "F", "F"}));
  EXPECT_EQ(joined, line);
}

TEST_F(ContainerLogTest, RotatesBetweenLinesAndKeepsTheNewest) {
  ASSERT_TRUE(log.open({.path = path, .max_bytes = 100, .max_files = 3}));
  for (int i = 0; i < 10; i++) {
    now += std::chrono::seconds(1);
    log.write(ContainerLog::standard_output, "line " + std::to_string(i) + "\n", now);
  }
  log.finish(now);
  // Two lines of 47 bytes fit into a file.
  EXPECT_EQ(files(), (std::vector<std::string>{"0.log", "0.log.20261121-022645.123456789", "0.log.20261121-022647.123456789"}));
  EXPECT_NE(text().find("F line 8\n"), std::string::npos) << text();
  EXPECT_NE(text().find("F line 9\n"), std::string::npos);
}

TEST_F(ContainerLogTest, NoLineIsLostOverRotations) {
  ASSERT_TRUE(log.open({.path = path, .max_bytes = 1000, .max_files = 1000}));
  std::string chunk;
  for (int i = 0; i < 500; i++) {
    chunk += "line " + std::to_string(i) + "\n";
    if (i % 7 != 6) continue;
    now += std::chrono::nanoseconds(1);
    log.write(i % 2 ? ContainerLog::standard_output : ContainerLog::standard_error, std::exchange(chunk, {}), now);
  }
  log.write(ContainerLog::standard_output, chunk, now);
  log.finish(now);
  std::string all;
  auto names = files();
  std::rotate(names.begin(), names.begin() + 1, names.end());  // the current one is the newest
  for (const std::string& name : names) all += *os::read_file(dir + "/pod/web/" + name);
  int expected = 0;
  for (std::string_view line : split(all, '\n')) {
    if (!line.empty()) EXPECT_TRUE(line.ends_with("F line " + std::to_string(expected++))) << line;
  }
  EXPECT_EQ(expected, 500);
}

TEST_F(ContainerLogTest, AppendsToWhatIsThereAndReopens) {
  ASSERT_TRUE(log.open({.path = path}));
  log.write(ContainerLog::standard_output, "a\n", now);
  ASSERT_TRUE(os::rename_file(path, path + ".moved"));
  ASSERT_TRUE(log.reopen());
  log.write(ContainerLog::standard_output, "b\n", now);
  log.finish(now);
  ContainerLog second;
  ASSERT_TRUE(second.open({.path = path}));
  second.write(ContainerLog::standard_output, "c\n", now);
  EXPECT_NE(text().find("F b\n"), std::string::npos);
  EXPECT_NE(text().find("F c\n"), std::string::npos);
  EXPECT_EQ(text().find("F a\n"), std::string::npos);
}

}  // namespace
}  // namespace estiba::runtime
