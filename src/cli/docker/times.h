// Times as flags give them and as the API wants them.
#pragma once
#include <string>
#include <string_view>

#include "base/result.h"

namespace estiba::cli::docker {

/// --since and --until: "42m" (so long ago), an RFC 3339 time or a beginning of one in local time, or seconds since 1970 →
/// "1700000000.123456789".
Result<std::string> api_timestamp(std::string_view text);

}  // namespace estiba::cli::docker
