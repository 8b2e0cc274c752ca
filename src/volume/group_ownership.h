// Files of a volume given to a group (a pod's fsGroup), as Kubernetes' volume plugins do it (pkg/volume/volume_linux.go). Blocks: belongs
// on a pool.
#pragma once
#include <sys/types.h>

#include <string>

#include "base/result.h"

namespace estiba::volume {

/// When the whole tree is walked: at each start of a pod, or only when its root does not yet belong to the group with the mode that the
/// walk gives it (fsGroupChangePolicy).
enum class GroupChange : unsigned char { always, on_root_mismatch };

/// Gives everything below `root`, and last `root` itself, to `gid`, readable by it (writable too, unless `readonly`); directories pass the
/// group on. Symlinks are changed themselves and never followed, whoever changes the tree meanwhile. True when the tree was walked.
Result<bool> give_to_group(const std::string& root, gid_t gid, bool readonly, GroupChange change);

}  // namespace estiba::volume
