// KubeSchedulerConfiguration (kubescheduler.config.k8s.io/v1): the profiles that pods choose by spec.schedulerName, with their plugins
// and those plugins' arguments (docs/scheduling.md).
#pragma once
#include <optional>
#include <string_view>
#include <vector>

#include "base/executor.h"
#include "base/result.h"
#include "scheduler/plugin.h"

namespace estiba::scheduler {

struct Configuration {
  std::vector<Profile> profiles{default_profile()};                                              ///< at least one; each has another name
  Duration first_rest = std::chrono::milliseconds(50), longest_rest = std::chrono::seconds(10);  ///< of pods tried in vain
};

/// Reads a text in YAML or JSON. Invalid when it is none, has a field that is unknown or not supported here, or a value that Kubernetes
/// would not take: every fault is named by its field, "profiles[0].schedulerName: Required value".
Result<Configuration> parse_configuration(std::string_view text);

}  // namespace estiba::scheduler
