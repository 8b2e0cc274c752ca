// Files of environment variables that a container takes values from (env[].valueFrom.fileKeyRef, KEP 3721): a strict subset of what a
// POSIX shell reads, as Kubernetes' pkg/kubelet/util/env has it.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace estiba::node {

/// The value of `key` in lines KEY='value' (values may span lines; blank lines and # comments are skipped). Nothing when it is not there or
/// empty; an error names the line that is none of these and comes before it.
Result<std::optional<std::string>> env_file_value(std::string_view text, std::string_view key);

}  // namespace estiba::node
