// Writes a set of files into a directory so that a reader sees all of the old set or all of the new one, never a mixture:
// what Kubernetes does for configMap, secret, projected and downwardAPI volumes.
//
//   <dir>/..2026_11_21_02_26_38.123456789/app.py     the files of one version
//   <dir>/..data -> ..2026_11_21_02_26_38.123456789   swapped by rename(2)
//   <dir>/app.py -> ..data/app.py                     what users open
#pragma once
#include <sys/types.h>

#include <map>
#include <optional>
#include <string>

#include "base/executor.h"
#include "base/result.h"

namespace estiba::volume {

struct File {
  std::string content;
  mode_t mode = 0644;
  bool operator==(const File&) const = default;
};
/// Relative path ("a/b.txt") → file. Paths are checked: no "..", no absolute ones.
using Files = std::map<std::string, File>;

/// Brings `dir` (which exists) to hold exactly `files`; returns false when it already did. With `gid`, all is owned by that
/// group and readable by it (fsGroup). A failure leaves the old version in place.
Result<bool> write_atomically(const std::string& dir, const Files& files, WallTime now, std::optional<gid_t> gid = std::nullopt);

}  // namespace estiba::volume
