// Durations as Go's programs write them: "1h2m3.5s", "100ms". Flags, Docker's API and Kubernetes' metrics use this notation.
#pragma once
#include <string_view>

#include "base/executor.h"
#include "base/result.h"

namespace estiba {

/// As Go's time.ParseDuration: numbers with units (ns, us or µs, ms, s, m, h), a sign before them, "0" alone without unit. To the
/// nanosecond. Errors (invalid) are Go's words and name the text: no duration, a number without unit, an unknown unit, more than 292 years.
Result<Duration> parse_go_duration(std::string_view text);

/// The same of a flag ("node-lease-duration", without the dashes) that must be at least so long. Errors (invalid) name the flag, what it
/// says and an example.
Result<Duration> parse_duration_flag(std::string_view flag, std::string_view text, Duration least = {});

}  // namespace estiba
