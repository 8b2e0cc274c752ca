#include "docker/timestamps.h"

#include <cstdlib>
#include <string>

#include "base/strings.h"
#include "base/time.h"

namespace estiba::docker {

std::optional<Duration> parse_go_duration(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  if (text == "0") return Duration(0);
  if (text.empty()) return std::nullopt;
  double total = 0;
  while (!text.empty()) {
    size_t digits = 0;
    while (digits < text.size() && ((text[digits] >= '0' && text[digits] <= '9') || text[digits] == '.')) ++digits;
    const std::string number(text.substr(0, digits));
    char* end = nullptr;
    const double value = std::strtod(number.c_str(), &end);
    if (digits == 0 || end != number.c_str() + number.size()) return std::nullopt;
    text.remove_prefix(digits);
    size_t letters = 0;
    while (letters < text.size() && text[letters] != '.' && !(text[letters] >= '0' && text[letters] <= '9')) ++letters;
    const std::string_view unit = text.substr(0, letters);
    text.remove_prefix(letters);
    double scale;
    if (unit == "h") scale = 3600e9;
    else if (unit == "m") scale = 60e9;
    else if (unit == "s") scale = 1e9;
    else if (unit == "ms") scale = 1e6;
    else if (unit == "us" || unit == "µs") scale = 1e3;
    else if (unit == "ns") scale = 1;
    else return std::nullopt;
    total += value * scale;
  }
  if (total > 9e18) return std::nullopt;
  return Duration(int64_t(negative ? -total : total));
}

static std::optional<WallTime> unix_time(std::string_view text) {
  auto [whole, fraction] = split_once(text, '.');
  auto seconds = parse_number<int64_t>(whole);
  if (!seconds || *seconds > 9'000'000'000 || *seconds < -9'000'000'000) return std::nullopt;
  int64_t nanos = 0;
  if (fraction) {
    std::string digits(*fraction);
    if (digits.empty() || digits.size() > 18) return std::nullopt;
    digits.resize(9, '0');
    auto parsed = parse_number<int64_t>(digits);
    if (!parsed || *parsed < 0) return std::nullopt;
    nanos = *parsed;
  }
  return WallTime(std::chrono::seconds(*seconds) + std::chrono::nanoseconds(nanos));
}

Result<std::optional<WallTime>> parse_query_time(std::string_view what, std::string_view text, WallTime now) {
  if (text.empty() || text == "0") return std::nullopt;
  if (auto time = unix_time(text)) return time;
  if (auto time = parse_rfc3339(text)) return *time;
  std::string filled(text);
  if (filled.size() == 10) filled += "T00:00:00";
  if (auto time = parse_rfc3339(filled + "Z")) return *time;
  if (auto duration = parse_go_duration(text)) return now - *duration;
  return fail(Code::invalid, "invalid value for " + quoted(what) + ": " + quoted(text) +
                                 " is no time; give seconds since 1970, an RFC 3339 time or a duration such as 10m");
}

}  // namespace estiba::docker
