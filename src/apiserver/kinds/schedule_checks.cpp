// Cron schedules and time zones (github.com/robfig/cron/v3's standard parser, whose messages users see).
#include <sys/stat.h>

#include <algorithm>
#include <optional>
#include <span>

#include "apiserver/kinds/value_checks.h"
#include "base/strings.h"

namespace estiba::apiserver {
namespace {

struct Field {
  unsigned low, high;
  std::span<const std::string_view> names;  // the first is `first_name`
  unsigned first_name = 0;
};

constexpr std::string_view months[] = {"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"};
constexpr std::string_view days[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};
constexpr Field fields[] = {{0, 59, {}}, {0, 23, {}}, {1, 31, {}}, {1, 12, months, 1}, {0, 6, days, 0}};

std::vector<std::string_view> words(std::string_view text) {
  std::vector<std::string_view> out;
  for (std::string_view word : split(text, ' ')) {
    if (word = trim(word); !word.empty()) out.push_back(word);
  }
  return out;
}

// A number or a name; the error is robfig/cron's.
std::optional<unsigned> value_of(std::string_view text, const Field& field, std::string& problem) {
  const std::string name = to_lower(text);
  for (unsigned i = 0; i < field.names.size(); i++)
    if (field.names[i] == name) return field.first_name + i;
  const auto number = parse_number<int>(text);
  if (!number) problem = "failed to parse int from " + std::string(text) + ": strconv.Atoi: parsing " + quoted(text) + ": invalid syntax";
  else if (*number < 0) problem = "negative number (" + std::to_string(*number) + ") not allowed: " + std::string(text);
  else return unsigned(*number);
  return std::nullopt;
}

// number | number "-" number [ "/" number ], with * and ? for all.
std::string range_problem(std::string_view text, const Field& field) {
  const auto parts = split(text, '/');
  const auto ends = split(parts[0], '-');
  std::string problem;
  unsigned start = field.low, end = field.high;
  const bool all = ends[0] == "*" || ends[0] == "?";
  if (!all) {
    const auto first = value_of(ends[0], field, problem);
    if (!first) return problem;
    start = end = *first;
    if (ends.size() > 2) return "too many hyphens: " + std::string(text);
    if (ends.size() == 2) {
      const auto last = value_of(ends[1], field, problem);
      if (!last) return problem;
      end = *last;
    }
  }
  if (parts.size() > 2) return "too many slashes: " + std::string(text);
  if (parts.size() == 2) {
    const auto step = value_of(parts[1], {0, 0, {}}, problem);
    if (!step) return problem;
    if (!all && ends.size() == 1) end = field.high;
    if (*step == 0) return "step of range should be a positive number: " + std::string(text);
  }
  auto bound = [&](std::string_view what, unsigned value, std::string_view relation, unsigned limit) {
    return std::string(what) + " (" + std::to_string(value) + ") " + std::string(relation) + " (" + std::to_string(limit) +
           "): " + std::string(text);
  };
  if (start < field.low) return bound("beginning of range", start, "below minimum", field.low);
  if (end > field.high) return bound("end of range", end, "above maximum", field.high);
  if (start > end) return bound("beginning of range", start, "beyond end of range", end);
  return {};
}

// "1h30m": what time.ParseDuration takes.
bool is_duration(std::string_view text) {
  if (text.empty()) return false;
  while (!text.empty()) {
    const size_t number = text.find_first_not_of("0123456789.");
    if (number == 0 || number == std::string_view::npos) return false;
    text.remove_prefix(number);
    const size_t unit = std::min(text.find_first_of("0123456789."), text.size());
    static constexpr std::string_view units[] = {"h", "m", "s", "ms", "us", "ns"};
    if (std::ranges::find(units, text.substr(0, unit)) == std::end(units)) return false;
    text.remove_prefix(unit);
  }
  return true;
}

std::string descriptor_problem(std::string_view text) {
  static constexpr std::string_view known[] = {"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"};
  if (std::ranges::find(known, text) != std::end(known)) return {};
  if (text.starts_with("@every ")) {
    const std::string_view duration = text.substr(7);
    if (is_duration(duration)) return {};
    return "failed to parse duration " + std::string(text) + ": time: invalid duration " + quoted(duration);
  }
  return "unrecognized descriptor: " + std::string(text);
}

}  // namespace

model::Problems check_schedule(std::string_view text) {
  if (text.starts_with("TZ=") || text.starts_with("CRON_TZ=")) text = trim(split_once(text, ' ').second.value_or(""));
  if (text.empty()) return {"empty spec string"};
  if (text.starts_with('@')) {
    std::string problem = descriptor_problem(text);
    return problem.empty() ? model::Problems{} : model::Problems{std::move(problem)};
  }
  const auto parts = words(text);
  if (parts.size() != std::size(fields)) {
    std::string shown;
    for (std::string_view part : parts) shown.append(shown.empty() ? "" : " ").append(part);
    return {"expected exactly 5 fields, found " + std::to_string(parts.size()) + ": [" + shown + "]"};
  }
  for (size_t i = 0; i < parts.size(); i++) {
    for (std::string_view range : split(parts[i], ',')) {
      if (range.empty()) continue;
      if (std::string problem = range_problem(range, fields[i]); !problem.empty()) return {std::move(problem)};
    }
  }
  return {};
}

model::Problems check_time_zone(std::string_view text) {
  if (text.empty()) return {"timeZone must be nil or non-empty string"};
  const std::string unknown = "unknown time zone " + std::string(text);
  for (std::string_view part : split(text, '/')) {
    const auto fits = [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || std::string_view(".-_+").contains(c);
    };
    if (part.empty() || part == "." || part == ".." || part.starts_with('-') || part.size() > 14 || !std::ranges::all_of(part, fits))
      return {unknown};
  }
  if (equals_ignore_case(text, "Local")) return {"timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"};
  if (text == "UTC") return {};
  const std::string zones = "/usr/share/zoneinfo/";
  struct stat status{};
  if (stat(zones.c_str(), &status) != 0) return {};
  if (stat((zones + std::string(text)).c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return {unknown};
  return {};
}

}  // namespace estiba::apiserver
