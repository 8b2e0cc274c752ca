#include "docker/times.h"

#include <algorithm>
#include <cstdlib>

#include "base/strings.h"
#include "base/time.h"

namespace estiba::docker {

using namespace std::chrono_literals;

Result<Duration> parse_duration(std::string_view text) {
  auto bad = [&] { return fail(Code::invalid, "invalid duration " + quoted(text)); };
  std::string_view rest = text;
  const bool negative = rest.starts_with('-');
  if (negative || rest.starts_with('+')) rest.remove_prefix(1);
  if (rest == "0") return Duration(0);
  if (rest.empty()) return bad();
  double total = 0;
  while (!rest.empty()) {
    const size_t digits = std::min(rest.find_first_not_of("0123456789."), rest.size());
    const std::string number(rest.substr(0, digits));
    char* end = nullptr;
    const double value = std::strtod(number.c_str(), &end);
    if (number.empty() || *end) return bad();
    rest.remove_prefix(digits);
    const size_t letters = std::min(rest.find_first_of("0123456789."), rest.size());
    const std::string_view unit = rest.substr(0, letters);
    rest.remove_prefix(letters);
    const double scale = unit == "ns"                                             ? 1
                         : unit == "us" || unit == "\u00b5s" || unit == "\u03bcs" ? 1e3
                         : unit == "ms"                                           ? 1e6
                         : unit == "s"                                            ? 1e9
                         : unit == "m"                                            ? 60e9
                         : unit == "h"                                            ? 3600e9
                                                                                  : 0;
    if (scale == 0) return bad();
    total += value * scale;
  }
  if (total > 9.2e18) return bad();
  return Duration(int64_t(negative ? -total : total));
}

Result<WallTime> parse_time(std::string_view text, WallTime now) {
  if (auto duration = parse_duration(text); duration && text.find_first_of("hmsun") != text.npos) return now - *duration;
  auto [seconds, fraction] = split_once(text, '.');
  if (auto whole = parse_number<int64_t>(seconds)) {
    std::string digits(fraction.value_or(""));
    if (digits.size() <= 9 && digits.find_first_not_of("0123456789") == digits.npos && std::abs(*whole) < 9'000'000'000) {
      digits.append(9 - digits.size(), '0');
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
