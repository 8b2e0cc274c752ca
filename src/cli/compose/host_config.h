// The part of a container's body that is about this machine: mounts, ports, limits, namespaces.
#pragma once
#include "cli/compose/body.h"

namespace estiba::cli::compose {

/// Fills ExposedPorts, Volumes and HostConfig of `body`.
Result<void> host_config(const Project& project, const json::Node& service, const BodyOptions& options, docker::Object body);
/// Where a container finds a secret ("/run/secrets/NAME") or a config ("/NAME").
std::string grant_target(std::string_view kind, const json::Node& grant);

}  // namespace estiba::cli::compose
