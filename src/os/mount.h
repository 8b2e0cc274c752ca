// Mounts: mount(2), the new mount API where it says more, and /proc/self/mountinfo.
#pragma once
#include <sys/mount.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "os/fd.h"

namespace estiba::os {

/// mount(2). `data` are the file system's own options, comma separated.
Result<void> mount(const std::string& source, const std::string& target, const std::string& type, unsigned long flags,
                   const std::string& data = {});
/// umount2(2) with `flags` (MNT_DETACH, UMOUNT_NOFOLLOW, …).
Result<void> umount(const std::string& target, int flags = 0);
/// Unmounts what is mounted at or below `path`, deepest first, lazily. Nothing there is fine.
Result<void> umount_all(const std::string& path);
/// Makes `new_root` (a mount) the root of this mount namespace and drops the old one. The process ends in "/".
Result<void> pivot_root(int new_root);
/// MS_MOVE to "/" and chroot: for --no-pivot (initramfs), weaker than pivot_root.
Result<void> move_root(const std::string& new_root);
/// chroot(2) to an open directory, which is the working directory then.
Result<void> change_root(int new_root);

struct MountInfo {
  int id = 0, parent = 0;
  uint32_t major = 0, minor = 0;
  std::string root, mount_point, options, fs_type, source, super_options;
  std::string optional;  ///< "shared:1 master:2"
};
/// Parses /proc/<pid>/mountinfo (proc_pid_mountinfo(5)), octal escapes undone.
Result<std::vector<MountInfo>> read_mountinfo(const std::string& pid = "self");
Result<std::vector<MountInfo>> parse_mountinfo(std::string_view text);
/// Whether something is mounted exactly at `path`, which is not followed if it is a link.
Result<bool> is_mount_point(const std::string& path);

/// Whether the kernel has open_tree(2), move_mount(2) (5.2) and mount_setattr(2) (5.12). Without them nothing can be mounted but at its
/// place.
bool has_mount_api();
/// Binds what `path` names from `dir` on (empty: `dir` itself) at `target`, a directory or file open with O_PATH. Needs /proc on kernels
/// without the calls above.
Result<void> bind_mount(int dir, const std::string& path, int target, bool recursive);
/// open_tree(2); with `clone` a detached copy of the mount (and of those below it when `recursive`).
Result<Fd> open_tree(int dir, const std::string& path, bool clone, bool recursive);
/// Attaches a detached mount at the directory or file `target` (an O_PATH descriptor).
Result<void> move_mount(int mount, int target);
/// mount_setattr(2) on an open mount: MOUNT_ATTR_* bits, propagation MS_PRIVATE and the like or 0. Before Linux 5.12 by mount(2), one mount
/// after the other, which cannot be done to detached ones.
Result<void> set_mount_attributes(int mount, uint64_t set, uint64_t clear, uint64_t propagation, bool recursive);
/// Makes the mount at "/" of this process read-only; without /proc, too.
Result<void> make_root_readonly();

}  // namespace estiba::os
