// From a pod's container to the engine's: user, security, resources, mounts, log and termination message.
#pragma once
#include <string>
#include <vector>

#include "engine/spec.h"
#include "model/types/core_v1.h"
#include "node/context.h"
#include "node/env.h"

namespace estiba::node {

Result<engine::ContainerSpec> make_container_spec(const Options& options, const model::core_v1::Pod& pod,
                                                  const model::core_v1::Container& container, uint32_t attempt, Environment environment,
                                                  std::vector<engine::Mount> mounts);

/// Turns an error in a container's configuration into a CreateContainerConfigError.
Error config_error(Error error);

/// What the container left in its termination log, or, with FallbackToLogsOnError, the end of its log; at most 4096 bytes.
std::string read_exit_message(const Options& options, const model::core_v1::Pod& pod, const model::core_v1::Container& container,
                              const engine::ContainerStatus& exited);

/// <log-links>/<pod>_<ns>_<container>-<id>.log → the container's log, where log shippers look.
void link_log(const Options& options, const model::core_v1::Pod& pod, const std::string& container, const std::string& id);
/// Removes the pod's logs and the links to them.
void unlink_logs(const Options& options, const model::core_v1::Pod& pod);

/// "" when it cannot be read.
std::string read_text_file(const std::string& path);

}  // namespace estiba::node
