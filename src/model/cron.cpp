#include "model/cron.h"

#include <algorithm>
#include <span>

#include "base/go_duration.h"
#include "base/strings.h"

namespace estiba::model {
namespace {

using namespace std::chrono_literals;

struct Field {
  unsigned low, high;
  std::span<const std::string_view> names;  // the first is `first_name`
  unsigned first_name = 0;
};

constexpr std::string_view month_names[] = {"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"};
constexpr std::string_view day_names[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};
constexpr Field fields[] = {{0, 59, {}}, {0, 23, {}}, {1, 31, {}}, {1, 12, month_names, 1}, {0, 6, day_names, 0}};

std::vector<std::string_view> words(std::string_view text) {
  std::vector<std::string_view> out;
  for (std::string_view word : split(text, ' ')) {
    if (word = trim(word); !word.empty()) out.push_back(word);
  }
  return out;
}

Result<unsigned> value_of(std::string_view text, const Field& field) {
  const std::string name = to_lower(text);
  for (unsigned i = 0; i < field.names.size(); i++)
    if (field.names[i] == name) return field.first_name + i;
  const auto number = parse_number<int>(text);
  if (!number)
    return fail(Code::invalid,
                "failed to parse int from " + std::string(text) + ": strconv.Atoi: parsing " + quoted(text) + ": invalid syntax");
  if (*number < 0) return fail(Code::invalid, "negative number (" + std::to_string(*number) + ") not allowed: " + std::string(text));
  return unsigned(*number);
}

// number | number "-" number [ "/" number ], with * and ? for all; sets `any` for those two.
Result<uint64_t> range_bits(std::string_view text, const Field& field, bool& any) {
  const auto parts = split(text, '/');
  const auto ends = split(parts[0], '-');
  unsigned start = field.low, end = field.high, step = 1;
  const bool all = ends[0] == "*" || ends[0] == "?";
  if (!all) {
    start = end = TRY(value_of(ends[0], field));
    if (ends.size() > 2) return fail(Code::invalid, "too many hyphens: " + std::string(text));
    if (ends.size() == 2) end = TRY(value_of(ends[1], field));
  }
  if (parts.size() > 2) return fail(Code::invalid, "too many slashes: " + std::string(text));
  if (parts.size() == 2) {
    step = TRY(value_of(parts[1], {0, 0, {}}));
    if (!all && ends.size() == 1) end = field.high;
    if (step == 0) return fail(Code::invalid, "step of range should be a positive number: " + std::string(text));
  }
  any |= all && step == 1;
  const auto outside = [&](std::string_view what, unsigned value, std::string_view relation, unsigned limit) {
    return fail(Code::invalid, std::string(what) + " (" + std::to_string(value) + ") " + std::string(relation) + " (" +
                                   std::to_string(limit) + "): " + std::string(text));
  };
  if (start < field.low) return outside("beginning of range", start, "below minimum", field.low);
  if (end > field.high) return outside("end of range", end, "above maximum", field.high);
  if (start > end) return outside("beginning of range", start, "beyond end of range", end);
  uint64_t bits = 0;
  for (unsigned value = start; value <= end; value += step) bits |= uint64_t(1) << value;
  return bits;
}

Result<uint64_t> field_bits(std::string_view text, const Field& field, bool& any) {
  uint64_t bits = 0;
  for (std::string_view range : split(text, ','))
    if (!range.empty()) bits |= TRY(range_bits(range, field, any));
  return bits;
}

bool has(uint64_t bits, int value) { return bits >> value & 1; }

}  // namespace

Result<CronSchedule> CronSchedule::parse(std::string_view text) {
  if (text.starts_with("TZ=") || text.starts_with("CRON_TZ=")) text = trim(split_once(text, ' ').second.value_or(""));
  if (text.empty()) return fail(Code::invalid, "empty spec string");
  CronSchedule schedule;
  if (text.starts_with("@every ")) {
    const auto every = parse_go_duration(text.substr(7));
    if (!every) return fail(Code::invalid, "failed to parse duration " + std::string(text) + ": " + every.error().message);
    schedule.every_ = std::max<Duration>(1s, std::chrono::floor<std::chrono::seconds>(*every));
    return schedule;
  }
  if (text.starts_with('@')) {
    static constexpr std::pair<std::string_view, std::string_view> known[] = {
        {"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}, {"@monthly", "0 0 1 * *"}, {"@weekly", "0 0 * * 0"},
        {"@daily", "0 0 * * *"},  {"@midnight", "0 0 * * *"}, {"@hourly", "0 * * * *"}};
    const auto row = std::ranges::find(known, text, &std::pair<std::string_view, std::string_view>::first);
    if (row == std::end(known)) return fail(Code::invalid, "unrecognized descriptor: " + std::string(text));
    return parse(row->second);
  }
  const auto parts = words(text);
  if (parts.size() != std::size(fields)) {
    std::string shown;
    for (std::string_view part : parts) shown.append(shown.empty() ? "" : " ").append(part);
    return fail(Code::invalid, "expected exactly 5 fields, found " + std::to_string(parts.size()) + ": [" + shown + "]");
  }
  bool other = false;
  schedule.minutes_ = TRY(field_bits(parts[0], fields[0], other));
  schedule.hours_ = TRY(field_bits(parts[1], fields[1], other));
  schedule.days_ = TRY(field_bits(parts[2], fields[2], schedule.any_day_));
  schedule.months_ = TRY(field_bits(parts[3], fields[3], other));
  schedule.weekdays_ = TRY(field_bits(parts[4], fields[4], schedule.any_weekday_));
  return schedule;
}

// As cron does: with both fields given, either is enough.
bool CronSchedule::day_matches(const ClockTime& clock) const {
  const bool day = has(days_, clock.day), weekday = has(weekdays_, clock.weekday);
  return any_day_ || any_weekday_ ? day && weekday : day || weekday;
}

std::optional<WallTime> CronSchedule::next(WallTime time, const TimeZone& zone) const {
  const WallTime whole = std::chrono::floor<std::chrono::seconds>(time);
  if (every_ != Duration{}) return whole + every_;
  const int64_t last_year = zone.clock(time).year + 5;
  WallTime at = whole + 1s;
  // Each step goes to the beginning of the next unit that may fit, until all fields do.
  for (;;) {
    const ClockTime clock = zone.clock(at);
    if (clock.year > last_year) return std::nullopt;
    WallTime next = at;
    if (!has(months_, clock.month)) next = zone.at({clock.year, clock.month + 1, 1});
    else if (!day_matches(clock)) next = zone.at({clock.year, clock.month, clock.day + 1});
    else if (!has(hours_, clock.hour)) next = at + std::chrono::seconds(3600 - clock.minute * 60 - clock.second);
    else if (!has(minutes_, clock.minute) || clock.second != 0) next = at + std::chrono::seconds(60 - clock.second);
    else return at;
    // Where midnight is skipped, the day begins later.
    at = next > at ? next : at + std::chrono::seconds(3600 - clock.minute * 60 - clock.second);
  }
}

}  // namespace estiba::model
