// The query of `kubectl logs` as the reader of logs takes it.
#pragma once
#include <functional>
#include <string_view>

#include "base/executor.h"
#include "base/result.h"
#include "engine/log_reader.h"

namespace estiba::node {

/// tailLines, limitBytes, sinceSeconds, sinceTime, timestamps, follow, stream, looked up by name; invalid names the parameter.
Result<engine::LogOptions> parse_log_options(const std::function<std::string_view(std::string_view)>& value, WallTime now);

}  // namespace estiba::node
