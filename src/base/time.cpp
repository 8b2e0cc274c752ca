#include "base/time.h"

#include <cstdio>
#include <ctime>
#include <limits>

#include "base/timestamp.h"

namespace estiba {

static constexpr int64_t second_ns = 1'000'000'000;

static Timestamp split(WallTime time) {
  const int64_t ns = std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count();
  Timestamp out{ns / second_ns, int32_t(ns % second_ns)};
  if (out.nanos < 0) --out.seconds, out.nanos += int32_t(second_ns);
  return out;
}

static std::string format(Timestamp time, int digits) {
  std::tm tm{};
  const std::time_t t = time.seconds;
  gmtime_r(&t, &tm);
  char out[64];
  int n = std::snprintf(out, sizeof out, "%04d-%02d-%02dT%02d:%02d:%02d", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
                        tm.tm_min, tm.tm_sec);
  if (digits == 6) n += std::snprintf(out + n, sizeof out - n, ".%06d", time.nanos / 1000);
  if (digits == 9) n += std::snprintf(out + n, sizeof out - n, ".%09d", time.nanos);
  out[n++] = 'Z';
  return std::string(out, n);
}

std::string format_rfc3339(Timestamp time) { return format(time, 0); }
std::string format_rfc3339_micro(Timestamp time) { return format(time, 6); }
std::string format_rfc3339(WallTime time) { return format(split(time), 0); }
std::string format_rfc3339_micro(WallTime time) { return format(split(time), 6); }
std::string format_rfc3339_nano(WallTime time) { return format(split(time), 9); }

Result<WallTime> parse_rfc3339(std::string_view text) {
  const Timestamp time = TRY(parse_timestamp(text));
  constexpr int64_t limit = std::numeric_limits<int64_t>::max() / second_ns - 1;
  if (time.seconds > limit) return WallTime::max();
  if (time.seconds < -limit) return WallTime::min();
  return WallTime(std::chrono::seconds(time.seconds) + Duration(time.nanos));
}

Result<Timestamp> parse_timestamp(std::string_view text) {
  auto bad = [&] { return fail(Code::malformed, "\"" + std::string(text) + "\" is not an RFC 3339 time like 2006-01-02T15:04:05Z"); };
  size_t at = 0;
  bool ok = true;
  auto number = [&](int width) {
    int value = 0;
    for (int i = 0; i < width; ++i, ++at) {
      if (at >= text.size() || text[at] < '0' || text[at] > '9') {
        ok = false;
        return 0;
      }
      value = value * 10 + (text[at] - '0');
    }
    return value;
  };
  auto literal = [&](std::string_view any) {
    if (at < text.size() && any.find(text[at]) != std::string_view::npos) return text[at++];
    ok = false;
    return '\0';
  };
  std::tm tm{};
  tm.tm_year = number(4) - 1900;
  literal("-");
  tm.tm_mon = number(2) - 1;
  literal("-");
  tm.tm_mday = number(2);
  literal("Tt ");
  tm.tm_hour = number(2);
  literal(":");
  tm.tm_min = number(2);
  literal(":");
  tm.tm_sec = number(2);
  if (!ok || tm.tm_mon < 0 || tm.tm_mon > 11 || tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60)
    return bad();
  int64_t nanos = 0;
  if (at < text.size() && text[at] == '.') {
    ++at;
    int64_t scale = 100'000'000;
    size_t start = at;
    for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at, scale /= 10) nanos += (text[at] - '0') * scale;
    if (at == start) return bad();
  }
  int64_t offset = 0;
  const char zone = literal("Zz+-");
  if (zone == '+' || zone == '-') {
    const int hours = number(2);
    literal(":");
    offset = (hours * 60 + number(2)) * 60 * (zone == '-' ? -1 : 1);
  }
  if (!ok || at != text.size()) return bad();
  return Timestamp{timegm(&tm) - offset, int32_t(nanos)};
}

}  // namespace estiba
