#include "cli/docker/times.h"

#include <ctime>

#include "base/go_duration.h"
#include "base/strings.h"
#include "base/time.h"
#include "cli/docker/flags.h"

namespace estiba::cli::docker {

namespace {

std::string seconds_and_nanos(int64_t nanoseconds) {
  char text[64];
  std::snprintf(text, sizeof text, "%lld.%09lld", static_cast<long long>(nanoseconds / 1'000'000'000),
                static_cast<long long>(nanoseconds % 1'000'000'000));
  return text;
}

}  // namespace

Result<std::string> api_timestamp(std::string_view text) {
  if (const auto duration = parse_go_duration(text)) {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    return seconds_and_nanos(now.tv_sec * 1'000'000'000ll + now.tv_nsec - duration->count());
  }
  if (auto time = parse_rfc3339(text)) return seconds_and_nanos(time->time_since_epoch().count());
  const std::string copy(text);
  for (const char* format : {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H", "%Y-%m-%d"}) {
    std::tm tm{};
    tm.tm_isdst = -1;
    const char* end = strptime(copy.c_str(), format, &tm);
    if (end && *end == '\0') return seconds_and_nanos(int64_t(std::mktime(&tm)) * 1'000'000'000);
  }
  const auto [seconds, fraction] = split_once(text, '.');
  if (parse_number<int64_t>(seconds) && (!fraction || parse_number<uint64_t>(*fraction))) return copy;
  return fail(Code::invalid, "failed to parse value as time or duration: " + quoted(text));
}

}  // namespace estiba::cli::docker
