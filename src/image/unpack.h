// Unpacks a layer's tar into a directory. The archive may be hostile: nothing outside the directory is touched, whatever
// the names, links and order of its members. Every path is resolved by openat2(2) with RESOLVE_IN_ROOT against the
// directory, so that even a symlink that was unpacked a moment ago resolves as it would inside the container.
//
// Refused, naming the member: absolute names, "..", symlinks whose relative target climbs out, hard links out of the root,
// device nodes but the harmless ones that every /dev has (null, zero, full, random, urandom, tty, console, ptmx), and
// what breaks the limits.
#pragma once
#include <optional>
#include <string>
#include <utility>

#include "base/result.h"
#include "image/tar.h"

namespace estiba::image {

struct UnpackOptions {
  TarLimits limits;
  /// Whiteout members (".wh.x", ".wh..wh..opq"; image-spec, layer.md) delete from the directory. False takes the names
  /// literally, for a plain root file system.
  bool whiteouts = true;

  // For copies into a container that exists (`docker cp`), which is no image:
  std::string below;        ///< the directory in the root that the names are seen from; must be there
  bool lenient = false;     ///< absolute names count from there too, and a symlink may point anywhere (it still leads nowhere outside)
  bool keep_kinds = false;  ///< refuse to put a directory in the place of something else, and the other way round
  bool keep_existing_root = false;                     ///< a member "./" does not change the directory itself
  std::optional<std::pair<uint32_t, uint32_t>> owner;  ///< everything belongs to this uid and gid
};

/// `root` is an open directory. Owners, modes, times, hard links, symlinks and extended attributes are kept. What was
/// there is replaced, directories are merged. On failure the directory is left half filled: the caller throws it away.
/// Returns the bytes of all files.
Result<uint64_t> unpack(Source& tar, int root, const UnpackOptions& options = {});

}  // namespace estiba::image
