// Cron schedules and time zones.
#include <sys/stat.h>

#include <algorithm>

#include "apiserver/kinds/value_checks.h"
#include "base/strings.h"
#include "model/cron.h"

namespace estiba::apiserver {

model::Problems check_schedule(std::string_view text) {
  const auto parsed = model::CronSchedule::parse(text);
  return parsed ? model::Problems{} : model::Problems{parsed.error().message};
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
