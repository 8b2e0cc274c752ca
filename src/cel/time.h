// Timestamps and durations as texts and as parts of a calendar.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "cel/value.h"

namespace estiba::cel {

/// Years 1 to 9999, what CEL allows.
inline constexpr int64_t min_seconds = -62135596800, max_seconds = 253402300799;

/// RFC 3339 with fractions and offsets. Leap seconds are refused.
std::optional<Timestamp> parse_timestamp(std::string_view text);
/// "2026-11-28T18:45:00.5Z", fractions as short as can be.
std::string print_timestamp(Timestamp time);
/// Seconds as decimals: "1.5s".
std::string print_duration(int64_t nanos);

struct Calendar {
  int64_t year;
  int month;        ///< 0 is January
  int day;          ///< of the month, 0 is the first
  int day_of_year;  ///< 0 is the first of January
  int weekday;      ///< 0 is Sunday
  int hour, minute, second;
};
Calendar calendar(int64_t seconds);
/// Seconds east of UTC at that moment: of "02:00", "-08:30", "UTC" or a name of the time zone database
/// (/usr/share/zoneinfo). An error text otherwise.
std::optional<int64_t> zone_offset(std::string_view zone, int64_t seconds, std::string& error);

}  // namespace estiba::cel
