// The times in queries (since, until), in all the forms that Docker's clients and documents use.
#pragma once
#include <optional>
#include <string_view>

#include "base/executor.h"
#include "base/result.h"

namespace estiba::docker {

/// "1732752000", "1732752000.123456789" (seconds since 1970), RFC 3339, "2026-11-28T10:00:00" or "2026-11-28" (UTC), and durations before
/// `now`, "10m", "1h30m", "1.5s". "" and "0" are no time. Code::invalid otherwise, naming `what`.
Result<std::optional<WallTime>> parse_query_time(std::string_view what, std::string_view text, WallTime now);
/// Go's time.ParseDuration: "1h30m", "10ms".
std::optional<Duration> parse_go_duration(std::string_view text);

}  // namespace estiba::docker
