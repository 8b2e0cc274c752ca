// From Docker's words to the engine's: a container's Config and HostConfig as the specs of a sandbox and of the container in it.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "docker/containers.h"
#include "engine/spec.h"

namespace estiba::docker {

struct EngineSpecs {
  engine::SandboxSpec sandbox;
  engine::ContainerSpec container;
};

/// What of its surroundings a container's specs need.
struct SpecSurroundings {
  std::string netns_path;                ///< empty: the host's network
  std::string files_dir;                 ///< hosts, hostname and resolv.conf; another container's with --network container:
  std::string log_dir;                   ///< where its log goes
  std::vector<std::string> mount_paths;  ///< directory on the host of each of container.mounts
  std::vector<int64_t> groups;           ///< GroupAdd, names looked up
  /// Process id and shared-memory directory of a running container; for ipc and pid modes that name another one.
  std::function<Result<std::pair<int, std::string>>(std::string_view name)> other;
};

Result<EngineSpecs> engine_specs(const Container& container, const SpecSurroundings& around);
/// The limits in a HostConfig, or in the body of an update: what is zero or missing is not set.
Result<engine::Resources> engine_resources(const json::Node& host_config);
/// max-size and max-file of LogConfig: (bytes, files); bytes 0: without limit. Errors name the option.
Result<std::pair<uint64_t, uint32_t>> log_limits(const json::Node& host_config);
/// "512m", "1GB", "1024" → bytes, in powers of 1024 (docker/go-units RAMInBytes).
Result<uint64_t> parse_bytes(std::string_view text);

}  // namespace estiba::docker
