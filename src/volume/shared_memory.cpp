#include "volume/shared_memory.h"

#include <cstdio>

#include "os/file.h"
#include "os/mount.h"

namespace estiba::volume {

Result<void> mount_memory(const std::string& path, uint64_t bytes, unsigned mode) {
  TRY(os::make_dirs(path));
  if (TRY(os::is_mount_point(path))) return {};
  char options[64];
  std::snprintf(options, sizeof options, "mode=%o,size=%llu", mode, static_cast<unsigned long long>(bytes));
  // Without a size the kernel takes half of the memory; "size=0" would mean no limit at all.
  std::string data = bytes ? options : std::string(options).substr(0, std::string_view(options).find(','));
  return os::mount("shm", path, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, data);
}

Result<void> unmount_memory(const std::string& path) {
  auto done = os::umount(path, MNT_DETACH | UMOUNT_NOFOLLOW);
  if (!done && (done.error().sys == EINVAL || done.error().sys == ENOENT)) return {};
  return done;
}

}  // namespace estiba::volume
