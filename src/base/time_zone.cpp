#include "base/time_zone.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>

#include "base/fd.h"
#include "base/strings.h"

namespace estiba {

namespace {

constexpr int64_t day_seconds = 86'400;

// Days since 1970-01-01 of the proleptic Gregorian calendar, and back.
int64_t days_of(int64_t year, int month, int day) {
  const int64_t months = year * 12 + month - 1;
  year = months >= 0 ? months / 12 : -((-months + 11) / 12);
  const auto date =
      std::chrono::year_month_day(std::chrono::year(int(year)), std::chrono::month(unsigned(months - year * 12) + 1), std::chrono::day(1));
  return std::chrono::sys_days(date).time_since_epoch().count() + day - 1;
}

std::chrono::year_month_day date_of(int64_t days) { return std::chrono::sys_days(std::chrono::days(days)); }

int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }

class Reader {
 public:
  explicit Reader(std::string_view bytes) : left_(bytes) {}
  bool ok() const { return ok_; }
  std::string_view rest() const { return left_; }
  std::string_view take(size_t count) {
    if (count > left_.size()) {
      ok_ = false;
      return {};
    }
    const std::string_view out = left_.substr(0, count);
    left_.remove_prefix(count);
    return out;
  }
  int64_t number(size_t width) {
    uint64_t value = 0;
    const std::string_view bytes = take(width);
    if (bytes.empty()) return 0;
    for (char c : bytes) value = value << 8 | uint8_t(c);
    return width == 4 ? int64_t(int32_t(uint32_t(value))) : int64_t(value);
  }

 private:
  std::string_view left_;
  bool ok_ = true;
};

struct Counts {
  size_t utc, standard, leaps, times, types, letters;
};

bool read_header(Reader& in, Counts& counts, char& version) {
  if (in.take(4) != "TZif") return false;
  const std::string_view first = in.take(16);
  version = first.empty() ? 0 : first[0];
  for (size_t* count : {&counts.utc, &counts.standard, &counts.leaps, &counts.times, &counts.types, &counts.letters}) {
    const int64_t value = in.number(4);
    if (value < 0 || value > 100'000) return false;
    *count = size_t(value);
  }
  return in.ok();
}

// --- the text of TZ --------------------------------------------------------------------------------------------------

bool take_name(std::string_view& text) {
  if (text.starts_with('<')) {
    const size_t end = text.find('>');
    if (end == std::string_view::npos) return false;
    text.remove_prefix(end + 1);
    return true;
  }
  size_t length = 0;
  while (length < text.size() && std::isalpha(uint8_t(text[length]))) ++length;
  text.remove_prefix(length);
  return length >= 3;
}

bool take_int(std::string_view& text, int64_t& value) {
  size_t length = 0;
  while (length < text.size() && std::isdigit(uint8_t(text[length]))) ++length;
  const auto number = parse_number<int32_t>(text.substr(0, length));
  if (!number) return false;
  value = *number;
  text.remove_prefix(length);
  return true;
}

// [+-]hh[:mm[:ss]] in seconds.
bool take_time(std::string_view& text, int64_t& seconds) {
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  int64_t part = 0;
  if (!take_int(text, part)) return false;
  seconds = part * 3600;
  for (int64_t unit : {60, 1}) {
    if (!text.starts_with(':')) break;
    text.remove_prefix(1);
    if (!take_int(text, part)) return false;
    seconds += part * unit;
  }
  if (negative) seconds = -seconds;
  return true;
}

}  // namespace

bool TimeZone::parse_rule(std::string_view text, Rule& rule) {
  const auto take_change = [&](Change& change) {
    if (!text.starts_with(',')) return false;
    text.remove_prefix(1);
    int64_t number = 0;
    if (text.starts_with('M')) {
      text.remove_prefix(1);
      int* fields[] = {&change.month, &change.week, &change.day};
      for (size_t i = 0; i < 3; ++i) {
        if (i > 0 && !text.starts_with('.')) return false;
        if (i > 0) text.remove_prefix(1);
        if (!take_int(text, number)) return false;
        *fields[i] = int(number);
      }
      if (change.month < 1 || change.month > 12 || change.week < 1 || change.week > 5 || change.day > 6) return false;
    } else {
      change.form = text.starts_with('J') ? 'J' : '0';
      if (change.form == 'J') text.remove_prefix(1);
      if (!take_int(text, number) || number > 366) return false;
      change.day = int(number);
    }
    if (!text.starts_with('/')) return true;
    text.remove_prefix(1);
    return take_time(text, change.time);
  };
  int64_t west = 0;
  if (!take_name(text) || !take_time(text, west)) return false;
  rule.standard = -west;
  rule.known = true;
  if (text.empty()) return true;
  if (!take_name(text)) return false;
  rule.summer = rule.standard + 3600;
  if (!text.starts_with(',')) {
    if (!take_time(text, west)) return false;
    rule.summer = -west;
  }
  rule.has_summer = true;
  return take_change(rule.start) && take_change(rule.end) && text.empty();
}

/// Seconds since 1970 on the zone's own clocks.
int64_t TimeZone::when(const Change& change, int64_t year) {
  if (change.form == '0') return (days_of(year, 1, 1) + change.day) * day_seconds + change.time;
  if (change.form == 'J') {
    const bool leap = std::chrono::year(int(year)).is_leap();
    return (days_of(year, 1, 1) + change.day - 1 + (leap && change.day >= 60)) * day_seconds + change.time;
  }
  const int64_t first = days_of(year, change.month, 1), next_month = days_of(year, change.month + 1, 1);
  const int64_t weekday = ((first + 4) % 7 + 7) % 7;  // 1970-01-01 was a Thursday
  int64_t day = first + (change.day - weekday + 7) % 7 + 7 * (change.week - 1);
  if (day >= next_month) day -= 7;
  return day * day_seconds + change.time;
}

int64_t TimeZone::rule_offset(int64_t time) const {
  if (!rule_.has_summer) return rule_.standard;
  const int64_t year = int(date_of(floor_div(time + rule_.standard, day_seconds)).year());
  const int64_t start = when(rule_.start, year) - rule_.standard, end = when(rule_.end, year) - rule_.summer;
  const bool summer = start < end ? time >= start && time < end : !(time >= end && time < start);
  return summer ? rule_.summer : rule_.standard;
}

Result<TimeZone> TimeZone::parse(std::string_view bytes) {
  Reader in(bytes);
  Counts counts{};
  char version = 0;
  const auto broken = [] { return fail(Code::malformed, "this is no time zone file (TZif)"); };
  if (!read_header(in, counts, version)) return broken();
  size_t width = 4;
  if (version >= '2') {
    in.take(counts.times * 5 + counts.types * 6 + counts.letters + counts.leaps * 8 + counts.standard + counts.utc);
    if (!read_header(in, counts, version)) return broken();
    width = 8;
  }
  TimeZone zone;
  std::vector<int64_t> times(counts.times), offsets(counts.types);
  for (int64_t& time : times) time = in.number(width);
  const std::string_view indexes = in.take(counts.times);
  for (int64_t& offset : offsets) {
    offset = in.number(4);
    in.take(2);
  }
  in.take(counts.letters + counts.leaps * (width + 4) + counts.standard + counts.utc);
  if (!in.ok() || offsets.empty()) return broken();
  zone.first_offset_ = offsets[0];
  for (size_t i = 0; i < times.size(); ++i) {
    if (uint8_t(indexes[i]) >= offsets.size()) return broken();
    zone.transitions_.push_back({times[i], offsets[uint8_t(indexes[i])]});
  }
  std::string_view footer = in.rest();
  if (footer.starts_with('\n') && footer.find('\n', 1) != std::string_view::npos) {
    footer = footer.substr(1, footer.find('\n', 1) - 1);
    if (!footer.empty() && !parse_rule(footer, zone.rule_)) return broken();
  }
  return zone;
}

Result<TimeZone> TimeZone::load(std::string_view name) {
  if (name.empty() || name == "UTC" || name == "Etc/UTC") return TimeZone();
  const auto unknown = [&] { return fail(Code::not_found, "unknown time zone " + std::string(name)); };
  if (name.starts_with('/') || name.find("..") != std::string_view::npos || name.find('\0') != std::string_view::npos) return unknown();
  const Fd file(open(("/usr/share/zoneinfo/" + std::string(name)).c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return unknown();
  std::string bytes(256 * 1024, '\0');
  size_t size = 0;
  for (ssize_t got; size < bytes.size() && (got = read(file.get(), bytes.data() + size, bytes.size() - size)) > 0;) size += size_t(got);
  bytes.resize(size);
  auto zone = parse(bytes);
  if (!zone) return unknown();
  return zone;
}

int64_t TimeZone::offset_at(int64_t time) const {
  const auto after = std::ranges::upper_bound(transitions_, time, {}, &Transition::time);
  if (after == transitions_.end() && rule_.known) return rule_offset(time);
  return after == transitions_.begin() ? first_offset_ : std::prev(after)->offset;
}

ClockTime TimeZone::clock(WallTime time) const {
  const int64_t seconds = std::chrono::floor<std::chrono::seconds>(time.time_since_epoch()).count();
  const int64_t local = seconds + offset_at(seconds);
  const int64_t days = floor_div(local, day_seconds), rest = local - days * day_seconds;
  const auto date = date_of(days);
  return {int(date.year()), int(unsigned(date.month())),  int(unsigned(date.day())), int(rest / 3600), int(rest / 60 % 60),
          int(rest % 60),   int(((days + 4) % 7 + 7) % 7)};
}

WallTime TimeZone::at(const ClockTime& clock) const {
  const int64_t local =
      days_of(clock.year, clock.month, clock.day) * day_seconds + int64_t(clock.hour) * 3600 + clock.minute * 60 + clock.second;
  int64_t time = local - offset_at(local);
  // The zone may have changed between: once more from there.
  if (const int64_t offset = offset_at(time); time + offset != local) {
    const int64_t other = local - offset;
    if (other + offset_at(other) == local || other > time) time = other;
  }
  // Clocks that are put back show the hour twice.
  if (const int64_t before = local - offset_at(time - 2 * 3600); before < time && before + offset_at(before) == local) time = before;
  return WallTime(std::chrono::seconds(time));
}

}  // namespace estiba
