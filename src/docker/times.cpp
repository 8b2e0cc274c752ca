#include "docker/times.h"

#include <cstdlib>

#include "base/go_duration.h"
#include "base/strings.h"
#include "base/time.h"

namespace estiba::docker {

Result<WallTime> parse_time(std::string_view text, WallTime now) {
  if (auto duration = parse_go_duration(text); duration && text.find_first_of("hmsun") != text.npos) return now - *duration;
  auto [seconds, fraction] = split_once(text, '.');
  if (auto whole = parse_number<int64_t>(seconds)) {
    std::string digits(fraction.value_or(""));
    const bool numeric = digits.size() <= 18 && digits.find_first_not_of("0123456789") == digits.npos && digits.empty() == !fraction;
    if (numeric && std::abs(*whole) < 9'000'000'000) {
      digits.resize(9, '0');  // finer than nanoseconds is cut
      return WallTime(std::chrono::seconds(*whole) + Duration(parse_number<int64_t>(digits).value_or(0)));
    }
  }
  // RFC 3339 in parts: what is missing is zero, and UTC.
  std::string whole(text);
  if (whole.size() == 10) whole += "T00:00:00";
  if (whole.size() == 13) whole += ":00:00";
  if (whole.size() == 16) whole += ":00";
  if (auto parsed = parse_rfc3339(whole)) return parsed;
  if (auto parsed = parse_rfc3339(whole + "Z")) return parsed;
  return fail(Code::invalid,
              "failed to parse " + quoted(text) + " as a time: seconds since 1970, RFC 3339 or a duration such as 10m is expected");
}

Result<std::optional<WallTime>> parse_query_time(std::string_view what, std::string_view text, WallTime now) {
  if (text.empty() || text == "0") return std::nullopt;
  if (auto time = parse_time(text, now)) return *time;
  return fail(Code::invalid, "invalid value for " + quoted(what) + ": " + quoted(text) +
                                 " is no time; give seconds since 1970, an RFC 3339 time or a duration such as 10m");
}

std::string human_duration(Duration duration) {
  const int64_t seconds = std::chrono::duration_cast<std::chrono::seconds>(duration).count();
  if (seconds < 1) return "Less than a second";
  if (seconds == 1) return "1 second";
  if (seconds < 60) return std::to_string(seconds) + " seconds";
  const int64_t minutes = seconds / 60;
  if (minutes == 1) return "About a minute";
  if (minutes < 60) return std::to_string(minutes) + " minutes";
  const int64_t hours = (seconds + 1800) / 3600;
  if (hours == 1) return "About an hour";
  if (hours < 48) return std::to_string(hours) + " hours";
  if (hours < 24 * 7 * 2) return std::to_string(hours / 24) + " days";
  if (hours < 24 * 30 * 2) return std::to_string(hours / 24 / 7) + " weeks";
  if (hours < 24 * 365 * 2) return std::to_string(hours / 24 / 30) + " months";
  return std::to_string(hours / 24 / 365) + " years";
}

std::string docker_time(WallTime time) { return time == WallTime{} ? "0001-01-01T00:00:00Z" : format_rfc3339_nano(time); }

}  // namespace estiba::docker
