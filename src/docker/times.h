// Times as Docker's clients write and read them.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "base/executor.h"
#include "base/result.h"

namespace estiba::docker {

/// "1764300000", "1764300000.123456789", RFC 3339 with or without zone and time, or a duration before `now` ("10m", "1h30m").
/// `now` is what durations count from.
Result<WallTime> parse_time(std::string_view text, WallTime now);
/// parse_time() of a query's `what`, where "" and "0" are no time; errors name `what`.
Result<std::optional<WallTime>> parse_query_time(std::string_view what, std::string_view text, WallTime now);
/// "Less than a second", "5 minutes", "About an hour", "3 weeks" (docker/go-units HumanDuration).
std::string human_duration(Duration duration);
/// RFC 3339 with nanoseconds; "0001-01-01T00:00:00Z" for the epoch, which stands for never.
std::string docker_time(WallTime time);

}  // namespace estiba::docker
