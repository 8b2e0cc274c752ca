// What a container has mounted: binds, volumes and tmpfs out of HostConfig and the image's volumes.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "docker/containers.h"
#include "model/json.h"

namespace estiba::docker {

/// "data:/var/lib:ro", "/host:/there:rw,rslave", "/there" (an anonymous volume). Options: ro, rw, nocopy, z, Z, consistent and the like,
/// and propagation. Errors are dockerd's: "invalid volume specification: '…'".
Result<MountPoint> parse_bind(std::string_view text);
/// One of HostConfig.Mounts. Unknown types and missing fields: "invalid mount config for type \"bind\": …".
Result<MountPoint> parse_mount(const json::Node& mount);

/// All mounts but tmpfs, by destination; later sources win: the image's Volumes and Config.Volumes (anonymous), VolumesFrom, Binds, Mounts.
/// Two of Binds and Mounts at one destination: "Duplicate mount point: /x". `find` gives the container that VolumesFrom names. The names of
/// anonymous volumes are empty.
Result<std::vector<MountPoint>> mount_points(const json::Node& config, const json::Node& host_config,
                                             const std::function<Result<ContainerRef>(std::string_view)>& find);

}  // namespace estiba::docker
