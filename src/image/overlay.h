// Overlay mounts: the roots of containers, and layers being unpacked on top of others.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace estiba::image {

/// What becomes of the writes to an overlay. Passing ones need not outlive the machine's stop: fsync(2) and unmounting wait for no disk
/// ("volatile" in overlayfs.rst), where else unmounting first writes back all of the file system that `upper` is on.
enum class Writes { durable, passing };

/// Mounts an overlay at `target`: `layers` lowest first, then `upper`, with `work` beside it on the same file system. A
/// container without layers of its own is an error; one layer is enough. overlayfs(5), Documentation/filesystems/overlayfs.rst.
Result<void> mount_overlay(const std::vector<std::string>& layers, const std::string& upper, const std::string& work,
                           const std::string& target, Writes writes = Writes::durable);

/// What `layers` (lowest first) hold together, mounted read-only at <dir>/rootfs, which is returned; programs in it are not executed,
/// device nodes and set-user-ID bits mean nothing. A mount that is there already is kept. remove_container_root() ends it.
/// `users` as in mount_container_root().
Result<std::string> mount_content(const std::vector<std::string>& layers, const std::string& dir, const std::string& users = {});

/// The root of container `dir` (a directory of ours): upper/, work/ and rootfs/ in it, without a mount. With `upper` the writable layer is
/// there instead, on the same file system.
Result<void> make_container_root(const std::vector<std::string>& layers, const std::string& dir, const std::string& upper = {});
/// The same, then mounted at <dir>/rootfs, which is returned. A mount that is there already is kept. `users` is where a user namespace is
/// bound whose root is to own what is root's in the layers: they are mounted with its ids below the overlay (id-mapped mounts, since Linux
/// 5.19 in overlayfs), and what is written is kept by the ids outside. Code::unsupported names the file system that does not know that.
Result<std::string> mount_container_root(const std::vector<std::string>& layers, const std::string& dir, const std::string& upper = {},
                                         Writes writes = Writes::durable, const std::string& users = {});
/// Unmounts <dir>/rootfs; what was written stays. Success when nothing is mounted there.
Result<void> unmount_container_root(const std::string& dir);
/// A file of a mounted root, its symlinks resolved inside; empty when there is none. At most `limit` bytes are read.
Result<std::string> read_in_root(const std::string& root, std::string_view path, uint64_t limit);
struct Usage {
  uint64_t bytes = 0, inodes = 0;
};
/// What the tree `dir` takes on disk.
Result<Usage> disk_usage(const std::string& dir);
/// Unmounts and removes all of `dir`. Missing is fine.
Result<void> remove_container_root(const std::string& dir);

}  // namespace estiba::image
