// Names of signals (base/signals.h), with Docker's error.
#pragma once
#include <string_view>

#include "base/result.h"

namespace estiba::docker {

/// "Invalid signal: x" (invalid).
Result<int> parse_signal(std::string_view text);

}  // namespace estiba::docker
