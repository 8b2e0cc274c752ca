// A tmpfs of its own: the /dev/shm that the containers of a pod share, and emptyDirs of medium Memory.
#pragma once
#include <cstdint>
#include <string>

#include "base/result.h"

namespace estiba::volume {

/// Mounts a tmpfs of at most `bytes` (0: the kernel's default, half of the memory) at the directory `path`, made when missing.
/// Does nothing when one is mounted there already.
Result<void> mount_memory(const std::string& path, uint64_t bytes, unsigned mode = 01777);
/// Success when nothing is mounted there.
Result<void> unmount_memory(const std::string& path);

}  // namespace estiba::volume
