// A tar of what a container's root has at a path, for `docker cp` and `docker export`.
#pragma once
#include <string>

#include "base/result.h"
#include "docker/archive/rooted.h"
#include "image/stream.h"

namespace estiba::docker {

struct PackOptions {
  /// False leaves out what is mounted in the root: a directory or file where something is mounted is there, but empty.
  bool across_mounts = true;
  bool first = true;  ///< with a member for the path itself; false: only what is in it
};

/// Writes the archive of the file or tree at `path`; its first member is called as take_path_apart() says, the others follow from it (plain
/// names for "/" and "/etc/."). Owners, modes, times to the nanosecond, hard links, symlinks, devices, fifos and extended attributes are
/// kept; sockets are left out. A file that changes its size meanwhile is cut or filled with zeros. Blocking.
Result<void> pack(int root, const std::string& path, image::Sink& sink, PackOptions options = {});

}  // namespace estiba::docker
