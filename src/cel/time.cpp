#include "cel/time.h"

#include <chrono>
#include <cmath>
#include <fstream>
#include <iterator>
#include <map>
#include <mutex>

#include "base/strings.h"

namespace estiba::cel {

static int64_t days_from_civil(int64_t year, int month, int day) {
  using namespace std::chrono;
  return sys_days(std::chrono::year(int(year)) / month / day).time_since_epoch().count();
}

static bool digits(std::string_view text, size_t at, size_t count, int& value) {
  value = 0;
  if (at + count > text.size()) return false;
  for (size_t i = at; i < at + count; i++) {
    if (text[i] < '0' || text[i] > '9') return false;
    value = value * 10 + (text[i] - '0');
  }
  return true;
}

std::optional<Timestamp> parse_timestamp(std::string_view text) {
  int year, month, day, hour, minute, second;
  if (text.size() < 20 || !digits(text, 0, 4, year) || text[4] != '-' || !digits(text, 5, 2, month) || text[7] != '-' ||
      !digits(text, 8, 2, day) || text[10] != 'T' || !digits(text, 11, 2, hour) || text[13] != ':' || !digits(text, 14, 2, minute) ||
      text[16] != ':' || !digits(text, 17, 2, second))
    return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year{year}, std::chrono::month{unsigned(month)}, std::chrono::day{unsigned(day)}};
  if (!date.ok() || hour > 23 || minute > 59 || second > 59) return std::nullopt;
  size_t at = 19;
  int64_t nanos = 0;
  if (text[at] == '.' || text[at] == ',') {
    int64_t unit = 100'000'000;
    const size_t first = ++at;
    for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; at++, unit /= 10) nanos += (text[at] - '0') * unit;
    if (at == first) return std::nullopt;
  }
  int64_t offset = 0;
  if (text.substr(at) != "Z") {
    int hours, minutes;
    if (text.size() != at + 6 || (text[at] != '+' && text[at] != '-') || !digits(text, at + 1, 2, hours) || text[at + 3] != ':' ||
        !digits(text, at + 4, 2, minutes) || hours > 24 || minutes > 60)
      return std::nullopt;
    offset = (hours * 60 + minutes) * 60;
    if (text[at] == '-') offset = -offset;
  }
  const int64_t seconds = days_from_civil(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset;
  return Timestamp{seconds, int32_t(nanos), int32_t(offset)};
}

Calendar calendar(int64_t seconds) {
  using namespace std::chrono;
  int64_t day = seconds / 86400, rest = seconds % 86400;
  if (rest < 0) day--, rest += 86400;
  const sys_days date{days(day)};
  const year_month_day parts(date);
  const sys_days first(parts.year() / January / 1);
  return {int(parts.year()),
          int(unsigned(parts.month())) - 1,
          int(unsigned(parts.day())) - 1,
          int((date - first).count()),
          int(weekday(date).c_encoding()),
          int(rest / 3600),
          int(rest / 60 % 60),
          int(rest % 60)};
}

std::string print_timestamp(Timestamp time) {
  const Calendar c = calendar(time.seconds + time.offset);
  char text[64];
  int length = snprintf(text, sizeof text, "%04lld-%02d-%02dT%02d:%02d:%02d", static_cast<long long>(c.year), c.month + 1, c.day + 1,
                        c.hour, c.minute, c.second);
  std::string out(text, size_t(length));
  if (time.nanos) {
    snprintf(text, sizeof text, ".%09d", time.nanos);
    out += text;
    while (out.back() == '0') out.pop_back();
  }
  if (time.offset == 0) return out + "Z";
  snprintf(text, sizeof text, "%c%02d:%02d", time.offset < 0 ? '-' : '+', std::abs(time.offset) / 3600, std::abs(time.offset) / 60 % 60);
  return out + text;
}

std::string print_duration(int64_t nanos) {
  // Go prints the shortest decimal of the seconds as a double.
  const double seconds = double(nanos / 1'000'000'000) + double(nanos % 1'000'000'000) / 1e9;
  char text[64];
  const auto end = std::to_chars(text, text + sizeof text, seconds, std::chars_format::fixed).ptr;
  return std::string(text, end) + "s";
}

// The time zone database's files (tzfile(5)): transitions in seconds since 1970, and the types they lead to.
static std::optional<int64_t> tzfile_offset(std::string_view data, int64_t seconds) {
  const auto number = [&](size_t at, size_t bytes) {
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++) value = value << 8 | static_cast<unsigned char>(data[at + i]);
    return bytes == 4 ? int64_t(int32_t(value)) : int64_t(value);
  };
  if (data.size() < 44 || !data.starts_with("TZif")) return std::nullopt;
  size_t at = 0, width = 4;
  const auto counts = [&](size_t header, size_t i) { return size_t(uint32_t(number(header + 20 + 4 * i, 4))); };
  // Counts: isutcnt, isstdcnt, leapcnt, timecnt, typecnt, charcnt.
  const auto body_size = [&](size_t header, size_t w) {
    return counts(header, 3) * (w + 1) + counts(header, 4) * 6 + counts(header, 5) + counts(header, 2) * (w + 4) + counts(header, 1) +
           counts(header, 0);
  };
  if (data[4] >= '2') {
    at = 44 + body_size(0, 4);
    width = 8;
    if (at + 44 > data.size()) return std::nullopt;
  }
  if (at + 44 + body_size(at, width) > data.size()) return std::nullopt;
  const size_t times = counts(at, 3), kinds = counts(at, 4);
  if (kinds == 0) return std::nullopt;
  const size_t list = at + 44, indexes = list + times * width, infos = indexes + times;
  size_t low = 0, high = times;
  while (low < high) {
    const size_t middle = (low + high) / 2;
    if (number(list + middle * width, width) <= seconds) low = middle + 1;
    else high = middle;
  }
  const size_t kind = low == 0 ? 0 : static_cast<unsigned char>(data[indexes + low - 1]);
  if (kind >= kinds) return std::nullopt;
  return number(infos + kind * 6, 4);
}

/// A zone's file, read once; empty when there is none.
static std::string_view zone_file(std::string_view zone) {
  static std::mutex mutex;
  static auto& files = *new std::map<std::string, std::string, std::less<>>;
  const std::lock_guard lock(mutex);
  if (const auto known = files.find(zone); known != files.end()) return known->second;
  std::ifstream file("/usr/share/zoneinfo/" + std::string(zone), std::ios::binary);
  std::string data{std::istreambuf_iterator<char>(file), {}};
  // Names of no zone are not kept: there is no end of them.
  if (!data.starts_with("TZif")) return {};
  return files.emplace(zone, std::move(data)).first->second;
}

std::optional<int64_t> zone_offset(std::string_view zone, int64_t seconds, std::string& error) {
  if (zone.empty() || zone == "UTC") return 0;
  const size_t colon = zone.find(':');
  if (colon != std::string_view::npos) {
    std::string_view hour_text = zone.substr(0, colon);
    if (hour_text.starts_with('+')) hour_text.remove_prefix(1);
    const auto hours = parse_number<int>(hour_text);
    const auto minutes = parse_number<int>(zone.substr(colon + 1));
    if (!hours || !minutes || std::abs(*hours) > 1000 || std::abs(*minutes) > 100000) {
      error = "strconv.Atoi: parsing " + quoted(!hours ? zone.substr(0, colon) : zone.substr(colon + 1)) + ": invalid syntax";
      return std::nullopt;
    }
    return int64_t(zone[0] == '-' ? *hours * 60 - *minutes : *hours * 60 + *minutes) * 60;
  }
  const bool safe = zone[0] != '/' && zone.find("..") == std::string_view::npos &&
                    zone.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-/") == std::string_view::npos;
  if (safe)
    if (const auto offset = tzfile_offset(zone_file(zone), seconds)) return offset;
  error = "unknown time zone " + std::string(zone);
  return std::nullopt;
}

}  // namespace estiba::cel
