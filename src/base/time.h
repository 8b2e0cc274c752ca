// Times as Kubernetes writes them: RFC 3339 in UTC.
#pragma once
#include <string>
#include <string_view>

#include "base/executor.h"
#include "base/result.h"

namespace estiba {

/// "2026-11-21T02:26:38Z", as metav1.Time prints.
std::string format_rfc3339(WallTime time);
/// "2026-11-21T02:26:38.123456Z", as metav1.MicroTime prints.
std::string format_rfc3339_micro(WallTime time);
/// "2026-11-21T02:26:38.123456789Z" with nine digits, as CRI logs and Docker print.
std::string format_rfc3339_nano(WallTime time);
/// Accepts fractions and numeric offsets; malformed otherwise.
Result<WallTime> parse_rfc3339(std::string_view text);

}  // namespace estiba
