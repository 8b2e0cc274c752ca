// Time zones of the IANA database as the system has them (TZif files, RFC 9636), without the process-wide state of tzset(3).
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/executor.h"
#include "base/result.h"

namespace estiba {

/// A day and a time of day on the clocks of some zone. Fields may be out of range where they are given: they carry over.
struct ClockTime {
  int64_t year = 1970;
  int month = 1, day = 1;  ///< from 1
  int hour = 0, minute = 0, second = 0;
  int weekday = 0;  ///< 0: Sunday; only in what `clock` returns
};

class TimeZone {
 public:
  static TimeZone utc() { return {}; }
  /// "Europe/Madrid" from /usr/share/zoneinfo; "" and "UTC" need no file. not_found for a name without a file.
  static Result<TimeZone> load(std::string_view name);
  /// From a file's bytes.
  static Result<TimeZone> parse(std::string_view bytes);

  /// Seconds east of UTC at a time (seconds since 1970).
  int64_t offset_at(int64_t time) const;
  ClockTime clock(WallTime time) const;
  /// When clocks show `clock`. Of two such times the first; a time that clocks skip becomes one shortly before or after.
  WallTime at(const ClockTime& clock) const;

 private:
  // "CET-1CEST,M3.5.0,M10.5.0/3": what holds after the last transition (POSIX.1, TZ).
  struct Change {
    char form = 'M';  // 'M' month.week.day; 'J' and '0' days of the year without and with February 29
    int month = 0, week = 0, day = 0;
    int64_t time = 2 * 3600;
  };
  struct Rule {
    bool known = false, has_summer = false;
    int64_t standard = 0, summer = 0;
    Change start, end;
  };
  struct Transition {
    int64_t time;
    int64_t offset;
  };
  static bool parse_rule(std::string_view text, Rule& rule);
  static int64_t when(const Change& change, int64_t year);
  int64_t rule_offset(int64_t time) const;

  std::vector<Transition> transitions_;
  int64_t first_offset_ = 0;
  Rule rule_;
};

}  // namespace estiba
