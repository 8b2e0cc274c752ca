// Names of signals, as Docker takes them: "SIGTERM", "TERM", "15", "RTMIN+3".
#pragma once
#include <string_view>

#include "base/result.h"

namespace estiba::docker {

/// "Invalid signal: x" (invalid).
Result<int> parse_signal(std::string_view text);

}  // namespace estiba::docker
