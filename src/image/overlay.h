// Overlay mounts: the roots of containers, and layers being unpacked on top of others.
#pragma once
#include <string>
#include <vector>

#include "base/result.h"

namespace estiba::image {

/// Mounts an overlay at `target`: `layers` lowest first, then `upper`, with `work` beside it on the same file system. A
/// container without layers of its own is an error; one layer is enough. overlayfs(5), Documentation/filesystems/overlayfs.rst.
Result<void> mount_overlay(const std::vector<std::string>& layers, const std::string& upper, const std::string& work, const std::string& target);

/// The root of container `dir` (a directory of ours): makes upper/, work/ and rootfs/ in it and mounts. A mount that is
/// there already is kept.
Result<std::string> mount_container_root(const std::vector<std::string>& layers, const std::string& dir);
/// Unmounts and removes all of `dir`. Missing is fine.
Result<void> remove_container_root(const std::string& dir);

}  // namespace estiba::image
