// What a container has changed in its image's files (`docker diff`): its writable layer compared with the layers below.
#pragma once
#include <string>
#include <vector>

#include "base/result.h"

namespace estiba::docker {

struct Change {
  enum class Kind : unsigned char { modified = 0, added = 1, deleted = 2 } kind;
  std::string path;  ///< "/etc/passwd"
};

/// Sorted by path. `upper` is an overlay's upper directory (missing: no changes), `layers` those below it, lowest first. What every start
/// puts into a root for its mounts (/proc, /dev, /etc/hosts, …) is no change. Blocking.
Result<std::vector<Change>> find_changes(const std::string& upper, std::vector<std::string> layers);

}  // namespace estiba::docker
