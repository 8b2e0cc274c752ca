// The layer of mount points: what every container has mounted over, made once per image and not in every container's own layer.
#pragma once
#include <string>
#include <vector>

#include "base/result.h"

namespace estiba::image {

/// `layers` (lowest first, as Store::layer_paths gives them) with one more on top, kept beside the topmost one: /dev, /proc, /sys and the
/// files in /etc that are mounted in containers, as far as the image lacks them. Docker has the same as a container's "-init" layer.
/// `workshop` is a directory of the same file system that does not exist yet; it is gone afterwards. Any number of threads and processes at
/// a time.
Result<std::vector<std::string>> with_mount_points(std::vector<std::string> layers, const std::string& workshop);

}  // namespace estiba::image
