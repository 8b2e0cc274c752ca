// What images take on disk.
#pragma once
#include "base/result.h"
#include "image/store.h"

namespace estiba::image {

/// Bytes of all unpacked layers that images have, each counted once. Blocking.
Result<uint64_t> layers_size(Store& store);

}  // namespace estiba::image
