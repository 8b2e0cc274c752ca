// Copies a directory's content with all that makes it what it is: owners, modes, times, xattrs, hard links, holes, symlinks, fifos,
// sockets' and devices' nodes. Never follows a symlink and never leaves the two directories.
#pragma once
#include "base/result.h"

namespace estiba::volume {

/// Whether the directory `fd` has no entries but lost+found.
Result<bool> is_empty_dir(int fd);
/// `from` and `to` are open directories; `to` takes over owner, mode and times of `from` as well.
Result<void> copy_tree(int from, int to);
/// Bytes of all files below, those with several names once.
Result<uint64_t> tree_size(const std::string& path);

}  // namespace estiba::volume
