// Files by descriptor and path. Errors name the call and the path. Descriptors are close-on-exec.
#pragma once
#include <fcntl.h>
#include <sys/stat.h>

#include <string>
#include <string_view>
#include <vector>

#include "os/fd.h"

namespace estiba::os {

Result<Fd> open_file(const std::string& path, int flags, mode_t mode = 0);
Result<Fd> open_at(int dir, const std::string& path, int flags, mode_t mode = 0);
/// Opens `path` as if `root` were "/": neither "..", symlinks nor absolute links lead out (openat2 RESOLVE_IN_ROOT; os/resolve.h where the
/// kernel has no openat2), magic links of /proc are refused.
Result<Fd> open_in_root(int root, std::string_view path, int flags, mode_t mode = 0);
/// The same, but any attempt to leave `root` is an error (RESOLVE_BENEATH), and no symlink is followed.
Result<Fd> open_beneath(int root, std::string_view path, int flags, mode_t mode = 0);

Result<std::string> read_file(const std::string& path);
Result<std::string> read_file_at(int dir, const std::string& path);
/// Writes in place; the file must exist unless `flags` has O_CREAT. For /proc, /sys and cgroup files: one write(2).
Result<void> write_file(const std::string& path, std::string_view bytes, int flags = 0, mode_t mode = 0644);
Result<void> write_file_at(int dir, const std::string& path, std::string_view bytes, int flags = 0, mode_t mode = 0644);
/// After this the file has either its old or its new content, whatever happens: temporary file, fsync, rename, and with
/// `durable` an fsync of the directory. Without `durable` no sync at all (tmpfs).
Result<void> write_file_atomic(const std::string& path, std::string_view bytes, mode_t mode = 0644, bool durable = true);

Result<void> make_dir(const std::string& path, mode_t mode = 0755);  ///< an existing directory is fine
Result<void> make_dirs(const std::string& path, mode_t mode = 0755);
/// Makes what is missing of `path` inside `root`, never leaving it, and returns the last directory (O_PATH).
Result<Fd> make_dirs_in_root(int root, std::string_view path, mode_t mode = 0755);
/// Makes an empty file (and its parents) inside `root` if there is nothing yet, and returns it (O_PATH).
Result<Fd> make_file_in_root(int root, std::string_view path, mode_t mode = 0644);

/// Removes a file or a whole tree. Never follows a symlink, never crosses into another mount (that is an error, EXDEV).
/// What is not there is fine.
Result<void> remove_all(const std::string& path);
Result<void> remove_all_at(int dir, const std::string& name);  ///< the same for an entry of an open directory
Result<void> remove_file(const std::string& path);             ///< missing is fine
Result<void> remove_dir(const std::string& path);              ///< missing is fine
Result<void> rename_file(const std::string& from, const std::string& to);
Result<void> make_symlink(const std::string& target, const std::string& path);
Result<void> make_hardlink(const std::string& from, const std::string& to);
Result<std::string> read_link(const std::string& path);
Result<void> make_fifo(const std::string& path, mode_t mode);
Result<void> change_owner(const std::string& path, uid_t uid, gid_t gid);  ///< of a symlink itself
Result<void> change_mode(const std::string& path, mode_t mode);

bool exists(const std::string& path);
Result<struct stat> stat_file(const std::string& path);  ///< follows symlinks
Result<struct stat> lstat_file(const std::string& path);
Result<struct stat> fstat_file(int fd);
/// The number in mountinfo of the mount that an open file is on (mnt_id in proc_pid_fdinfo(5)).
Result<int> mount_of(int fd);
/// Whether the open file or directory is the top of a mount (statx STATX_ATTR_MOUNT_ROOT, or by the mount's number).
Result<bool> is_mount_root(int fd);

struct DirEntry {
  std::string name;
  unsigned char type = 0;  ///< DT_REG, DT_DIR, …; DT_UNKNOWN on some file systems
};
/// Without "." and "..", in the order of the directory.
Result<std::vector<DirEntry>> list_dir(const std::string& path);
Result<std::vector<DirEntry>> list_dir(int fd);

/// Takes an exclusive lock (flock) on a file made if missing; held while the Fd lives. Without `wait`, a lock that
/// somebody else holds is Code::conflict.
Result<Fd> lock_file(const std::string& path, bool wait = true);
Result<void> sync_dir(const std::string& path);

struct DiskSpace {
  uint64_t total_bytes = 0, free_bytes = 0, total_inodes = 0, free_inodes = 0;
};
Result<DiskSpace> disk_space(const std::string& path);

}  // namespace estiba::os
