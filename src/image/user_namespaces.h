// Whether this machine can give containers user namespaces as pods have them.
#pragma once
#include <cstdint>
#include <string>

#include "base/result.h"

namespace estiba::image {

/// Blocking: makes a user namespace of the `size` ids from `first` on, below `data_dir` a root with its ids, and mounts `run_dir` with
/// them, all of which is gone afterwards. The error says what this machine lacks: ids, a kernel, or file systems with id-mapped mounts.
Result<void> try_user_namespace(const std::string& data_dir, const std::string& run_dir, uint32_t first, uint32_t size);

}  // namespace estiba::image
