#include "model/cron.h"

#include <gtest/gtest.h>

#include "base/time.h"

namespace estiba::model {
namespace {

std::string next(std::string_view schedule, std::string_view time, std::string_view zone = "UTC") {
  auto parsed = CronSchedule::parse(schedule);
  if (!parsed) return parsed.error().message;
  const auto at = parsed->next(*parse_rfc3339(time), *TimeZone::load(zone));
  return at ? format_rfc3339(*at) : "never";
}

TEST(Cron, TheNextTimeIsTheFirstThatFitsEveryField) {
  struct Row {
    std::string_view schedule, time, next;
  } rows[] = {
      {"* * * * *", "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"},
      {"* * * * *", "2026-01-01T00:00:59.5Z", "2026-01-01T00:01:00Z"},
      {"*/15 * * * *", "2026-01-01T00:46:00Z", "2026-01-01T01:00:00Z"},
      {"5-50/20 * * * *", "2026-01-01T00:26:00Z", "2026-01-01T00:45:00Z"},
      {"0 3 * * *", "2026-01-01T03:00:00Z", "2026-01-02T03:00:00Z"},
      {"30 8 31 * ?", "2026-02-01T00:00:00Z", "2026-03-31T08:30:00Z"},
      {"0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"},
      {"0 0 30 feb *", "2026-01-01T00:00:00Z", "never"},
      {"0 0 1 * mon", "2026-01-01T00:00:00Z", "2026-01-05T00:00:00Z"},  // either is enough
      {"0 0 * * Sat,Sun", "2026-01-01T00:00:00Z", "2026-01-03T00:00:00Z"},
      {"59 23 31 12 *", "2026-12-31T23:59:00Z", "2027-12-31T23:59:00Z"},
      {"@hourly", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"},
      {"@weekly", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z"},
      {"@every 1h30m", "2026-01-01T00:00:10.7Z", "2026-01-01T01:30:10Z"},
  };
  for (const Row& row : rows) EXPECT_EQ(next(row.schedule, row.time), row.next) << row.schedule;
}

TEST(Cron, ZonesAndTheirSummerTimeHold) {
  EXPECT_EQ(next("0 9 * * *", "2026-01-15T00:00:00Z", "Europe/Madrid"), "2026-01-15T08:00:00Z");
  EXPECT_EQ(next("0 9 * * *", "2026-07-15T00:00:00Z", "Europe/Madrid"), "2026-07-15T07:00:00Z");
  EXPECT_EQ(next("0 0 * * *", "2026-01-15T00:00:00Z", "Asia/Kolkata"), "2026-01-15T18:30:00Z");
  // 02:30 of March 29 does not exist there; the next day has it.
  EXPECT_EQ(next("30 2 * * *", "2026-03-28T12:00:00Z", "Europe/Madrid"), "2026-03-30T00:30:00Z");
  // Long after the last transition that a file lists, by its rule; on the southern half of the earth likewise.
  EXPECT_EQ(next("0 9 1 7 *", "2060-01-01T00:00:00Z", "America/New_York"), "2060-07-01T13:00:00Z");
  EXPECT_EQ(next("0 9 1 1 *", "2060-06-01T00:00:00Z", "Australia/Sydney"), "2060-12-31T22:00:00Z");
}

TEST(Cron, MistakesAreNamed) {
  EXPECT_EQ(next("* * * *", "2026-01-01T00:00:00Z"), "expected exactly 5 fields, found 4: [* * * *]");
  EXPECT_EQ(next("61 * * * *", "2026-01-01T00:00:00Z"), "end of range (61) above maximum (59): 61");
  EXPECT_EQ(next("@never", "2026-01-01T00:00:00Z"), "unrecognized descriptor: @never");
  EXPECT_EQ(next("@every day", "2026-01-01T00:00:00Z"), "failed to parse duration @every day: time: invalid duration \"day\"");
}

TEST(TimeZone, WhatIsNoZoneIsRefused) {
  for (std::string_view name : {"Mars/Olympus", "/etc/passwd", "../../../etc/passwd", "Europe"}) EXPECT_FALSE(TimeZone::load(name)) << name;
  for (std::string_view bytes : {"", "TZif", "TZif2aaaaaaaaaaaaaaabbbbbbbbbbbbbbbbbbbbbbbb"}) EXPECT_FALSE(TimeZone::parse(bytes));
}

TEST(TimeZone, ClocksAndTimesAgree) {
  const TimeZone zone = *TimeZone::load("Europe/Madrid");
  for (int64_t seconds = 1'700'000'000; seconds < 1'800'000'000; seconds += 1801 * 7) {
    const WallTime time{std::chrono::seconds(seconds)};
    const ClockTime clock = zone.clock(time);
    const WallTime back = zone.at(clock);
    // The hour that is shown twice is read as its first.
    EXPECT_TRUE(back == time || back == time - std::chrono::hours(1)) << seconds;
  }
}

}  // namespace
}  // namespace estiba::model
