#include "docker/logs.h"

#include <gtest/gtest.h>

#include "base/time.h"
#include "docker/processes.h"
#include "docker/times.h"
#include "image/test_support.h"
#include "os/file.h"

namespace estiba::docker {
namespace {

using namespace std::chrono_literals;

std::string line(int second, std::string_view text, char tag = 'F', std::string_view stream = "stdout") {
  char time[40];
  std::snprintf(time, sizeof time, "2026-11-28T10:00:%02d.000000000Z ", second);
  return std::string(time).append(stream).append({' ', tag, ' '}).append(text).append("\n");
}

std::string printed(const LogRequest& request, std::string log, bool framed = false) {
  LogPrinter printer(request, framed);
  std::string out;
  EXPECT_EQ(printer.print(log, out, 1 << 20), log.size());
  return out;
}

TEST(LogPrinter, PrintsLinesAndPieces) {
  const std::string log =
      line(1, "one") + line(2, "long ", 'P') + line(3, "err", 'F', "stderr") + line(4, "line") + "damaged\n" + line(5, "");
  EXPECT_EQ(printed({.out = true, .err = true}, log), "one\nlong err\nline\n\n");
  EXPECT_EQ(printed({.out = true}, log), "one\nlong line\n\n");
  EXPECT_EQ(printed({.err = true}, log), "err\n");
  // The time stands once, before a line's first piece.
  EXPECT_EQ(printed({.out = true, .timestamps = true}, line(2, "long ", 'P') + line(4, "line")),
            "2026-11-28T10:00:02.000000000Z long line\n");
  EXPECT_EQ(printed({.out = true, .timestamps = true, .details = "a=b", .show_details = true}, line(1, "x")),
            "2026-11-28T10:00:01.000000000Z a=b x\n");
  EXPECT_EQ(printed({.out = true, .err = true}, line(1, "a") + line(2, "b", 'F', "stderr"), true), std::string("\x01\0\0\0\0\0\0\x02"
                                                                                                               "a\n"
                                                                                                               "\x02\0\0\0\0\0\0\x02"
                                                                                                               "b\n",
                                                                                                               20));
}

TEST(LogPrinter, KeepsToItsTimes) {
  const std::string log = line(1, "1") + line(2, "2") + line(3, "3");
  const WallTime two = *parse_rfc3339("2026-11-28T10:00:02Z");
  EXPECT_EQ(printed({.out = true, .since = two}, log), "2\n3\n");
  LogPrinter until({.out = true, .until = two}, false);
  std::string out;
  until.print(log, out, 1 << 20);
  EXPECT_EQ(out, "1\n2\n");
  EXPECT_TRUE(until.past_end());
  // An unfinished line waits for its rest.
  LogPrinter whole({.out = true}, false);
  out.clear();
  const std::string part = log.substr(0, log.size() - 1);
  EXPECT_EQ(whole.print(part, out, 1 << 20), part.rfind('\n') + 1);
}

class LogFilesTest : public testing::Test {
 protected:
  void write(const std::string& name, const std::string& text) { ASSERT_TRUE(os::write_file(dir_ / name, text, O_CREAT | O_APPEND)); }
  std::string all(LogFiles& files) {
    std::string out, buffer(100, '\0');  // small, so that reads end anywhere
    for (;;) {
      auto n = files.read(buffer.data(), buffer.size());
      EXPECT_TRUE(n);
      if (!n || *n == 0) return out;
      out.append(buffer, 0, *n);
    }
  }
  std::string tail(int64_t lines) {
    LogFiles files(path);
    EXPECT_TRUE(files.open(lines));
    return printed({.out = true}, all(files));
  }
  image::TemporaryDirectory dir_;
  const std::string path = dir_ / "c-json.log";
};

TEST_F(LogFilesTest, ReadsRotatedFilesInOrder) {
  LogFiles none(path);
  ASSERT_TRUE(none.open({}));
  EXPECT_EQ(all(none), "");
  write("c-json.log.20261128-100001.000000000", line(1, "1") + line(2, "2"));
  write("c-json.log.20261128-100002.000000000", line(3, "3"));
  write("c-json.log", line(4, "4"));
  write("c-json.log.tmp", "no part of it\n");
  EXPECT_EQ(all(none), line(1, "1") + line(2, "2") + line(3, "3") + line(4, "4"));
  EXPECT_EQ(tail(0), "");
  EXPECT_EQ(tail(1), "4\n");
  EXPECT_EQ(tail(2), "3\n4\n");
  EXPECT_EQ(tail(3), "2\n3\n4\n");
  EXPECT_EQ(tail(99), "1\n2\n3\n4\n");
}

TEST_F(LogFilesTest, FollowsThroughRotation) {
  write("c-json.log", line(1, "1"));
  LogFiles files(path);
  ASSERT_TRUE(files.open(0));
  EXPECT_EQ(all(files), "");
  write("c-json.log", line(2, "2"));
  EXPECT_EQ(all(files), line(2, "2"));
  // Two rotations between two reads: nothing is lost.
  write("c-json.log", line(3, "3"));
  ASSERT_TRUE(os::rename_file(path, path + ".20261128-100003.000000000"));
  write("c-json.log", line(4, "4"));
  ASSERT_TRUE(os::rename_file(path, path + ".20261128-100004.000000000"));
  write("c-json.log", line(5, "5"));
  EXPECT_EQ(all(files), line(3, "3") + line(4, "4") + line(5, "5"));
}

TEST_F(LogFilesTest, TailCountsWholeLines) {
  std::string log;
  for (int i = 0; i < 3000; ++i) log += line(i % 60, "line " + std::to_string(i) + std::string(size_t(i % 97), '.'));
  log += line(1, "long ", 'P') + line(1, "longer ", 'P') + line(1, "end") + line(2, "unfinished", 'P');
  write("c-json.log", log);
  EXPECT_EQ(tail(1), "unfinished");
  EXPECT_EQ(tail(2), "long longer end\nunfinished");
  const std::string many = tail(2502);
  EXPECT_TRUE(many.starts_with("line 500")) << many.substr(0, 40);
  EXPECT_EQ(tail(3002).substr(0, 7), "line 0\n");
}

TEST(QueryTimes, AllForms) {
  const WallTime now = *parse_rfc3339("2026-11-28T10:00:00Z");
  auto at = [&](std::string_view text) {
    auto time = parse_query_time("since", text, now);
    return time && *time ? format_rfc3339_nano(**time) : std::string(time ? "none" : "wrong");
  };
  EXPECT_EQ(at(""), "none");
  EXPECT_EQ(at("0"), "none");
  EXPECT_EQ(at("1732752000"), "2024-11-28T00:00:00.000000000Z");
  EXPECT_EQ(at("1732752000.5"), "2024-11-28T00:00:00.500000000Z");
  EXPECT_EQ(at("1732752000.000000001"), "2024-11-28T00:00:00.000000001Z");
  EXPECT_EQ(at("2026-11-28T09:00:00+01:00"), "2026-11-28T08:00:00.000000000Z");
  EXPECT_EQ(at("2026-11-28T09:00:00"), "2026-11-28T09:00:00.000000000Z");
  EXPECT_EQ(at("2026-11-28"), "2026-11-28T00:00:00.000000000Z");
  EXPECT_EQ(at("1h30m"), "2026-11-28T08:30:00.000000000Z");
  EXPECT_EQ(at("1.5s"), "2026-11-28T09:59:58.500000000Z");
  EXPECT_EQ(at("yesterday"), "wrong");
  EXPECT_EQ(at("12x"), "wrong");
}

TEST(Processes, PrintsThisOne) {
  const WallTime now = std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
  auto table = list_processes({::getpid(), 999999999}, "-ef", now);
  ASSERT_TRUE(table);
  EXPECT_EQ(table->titles, (std::vector<std::string>{"UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"}));
  ASSERT_EQ(table->rows.size(), 1u);
  EXPECT_EQ(table->rows[0][1], std::to_string(::getpid()));
  EXPECT_EQ(table->rows[0][2], std::to_string(::getppid()));
  EXPECT_EQ(table->rows[0][6].size(), 8u);
  EXPECT_NE(table->rows[0][7].find("docker_test"), std::string::npos);
  auto aux = list_processes({::getpid()}, "aux", now);
  ASSERT_TRUE(aux);
  EXPECT_EQ(aux->titles.size(), aux->rows[0].size());
}

TEST(Processes, ChoosesRowsOfPs) {
  auto table = choose_rows("  PID TTY   CMD\n   12 ?     sleep 1  2\n  120 pts/0 sh\n", {12});
  ASSERT_TRUE(table);
  ASSERT_EQ(table->rows.size(), 1u);
  EXPECT_EQ(table->rows[0], (std::vector<std::string>{"12", "?", "sleep 1  2"}));
  EXPECT_FALSE(choose_rows("CMD\nsh\n", {12}));
  EXPECT_FALSE(check_ps_arguments("-o pid=x"));
}

}  // namespace
}  // namespace estiba::docker
