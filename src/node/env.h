// A container's environment: the spec's env and envFrom with their sources, service variables, and $(NAME) expansion.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "model/types/core_v1.h"

namespace estiba::node {

using Environment = std::vector<std::pair<std::string, std::string>>;

/// Replaces $(NAME) by the variable's value; $$ is a dollar sign, and an unknown name stays as it is written.
std::string expand(std::string_view text, const std::function<const std::string*(std::string_view)>& lookup);
std::string expand(std::string_view text, const Environment& environment);

/// Where the values that the spec names come from. Each call gives not_found when there is no such object or key.
struct EnvSources {
  std::function<Result<std::map<std::string, std::string>>(std::string_view name)> config_map, secret;
  std::function<Result<std::string>(const model::core_v1::ObjectFieldSelector&)> field;
  std::function<Result<std::string>(const model::core_v1::ResourceFieldSelector&)> resource;
  /// The content of a file in a volume of the pod.
  std::function<Result<std::string>(const model::core_v1::FileKeySelector&)> file;
};

/// In the order that Kubernetes gives: services, envFrom, env; later names replace earlier ones. An error names the
/// variable and its source (CreateContainerConfigError).
Result<Environment> make_environment(const model::core_v1::Container& container, const Environment& services, const EnvSources& sources);

/// The variables of the services of a pod's namespace and of default/kubernetes: REDIS_SERVICE_HOST, REDIS_PORT_6379_TCP, …
Environment service_environment(const std::vector<const model::core_v1::Service*>& services);

}  // namespace estiba::node
