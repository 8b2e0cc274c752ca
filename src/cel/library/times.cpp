// Parts of timestamps and durations.
#include "cel/function.h"
#include "cel/time.h"

namespace estiba::cel::library {

namespace {

enum class Part { year, month, day_of_year, day, date, weekday, hours, minutes, seconds, milliseconds };

template <Part part>
Value pick(Timestamp time, int64_t offset) {
  const Calendar c = calendar(time.seconds + offset);
  switch (part) {
    case Part::year: return Value::integer(c.year);
    case Part::month: return Value::integer(c.month);
    case Part::day_of_year: return Value::integer(c.day_of_year);
    case Part::day: return Value::integer(c.day);
    case Part::date: return Value::integer(c.day + 1);
    case Part::weekday: return Value::integer(c.weekday);
    case Part::hours: return Value::integer(c.hour);
    case Part::minutes: return Value::integer(c.minute);
    case Part::seconds: return Value::integer(c.second);
    case Part::milliseconds: return Value::integer(time.nanos / 1'000'000);
  }
  return {};
}

template <Part part>
Value in_utc(Context&, Args a) {
  return pick<part>(a[0].time(), 0);
}

template <Part part>
Value in_zone(Context& c, Args a) {
  std::string error;
  const auto offset = zone_offset(a[1].text(), a[0].time().seconds, error);
  return offset ? pick<part>(a[0].time(), *offset) : c.memory.error(error);
}

template <int64_t unit>
Value whole(Context&, Args a) {
  return Value::integer(a[0].nanos() / unit);
}

#define ESTIBA_CEL_PART(name, id, part)                                          \
  {name, "timestamp_to_" id, "timestamp.():int", in_utc<part>}, {                \
    name, "timestamp_to_" id "_with_tz", "timestamp.(string):int", in_zone<part> \
  }

constexpr auto table = std::to_array<Native>({
    ESTIBA_CEL_PART("getFullYear", "year", Part::year),
    ESTIBA_CEL_PART("getMonth", "month", Part::month),
    ESTIBA_CEL_PART("getDayOfYear", "day_of_year", Part::day_of_year),
    ESTIBA_CEL_PART("getDayOfMonth", "day_of_month", Part::day),
    ESTIBA_CEL_PART("getDate", "day_of_month_1_based", Part::date),
    ESTIBA_CEL_PART("getDayOfWeek", "day_of_week", Part::weekday),
    ESTIBA_CEL_PART("getHours", "hours", Part::hours),
    ESTIBA_CEL_PART("getMinutes", "minutes", Part::minutes),
    ESTIBA_CEL_PART("getSeconds", "seconds", Part::seconds),
    ESTIBA_CEL_PART("getMilliseconds", "milliseconds", Part::milliseconds),
    {"getHours", "duration_to_hours", "duration.():int", whole<3'600'000'000'000>},
    {"getMinutes", "duration_to_minutes", "duration.():int", whole<60'000'000'000>},
    {"getSeconds", "duration_to_seconds", "duration.():int", whole<1'000'000'000>},
    {"getMilliseconds", "duration_to_milliseconds", "duration.():int", whole<1'000'000>},
});
#undef ESTIBA_CEL_PART

}  // namespace

std::span<const Native> times() { return table; }

}  // namespace estiba::cel::library
