#include "os/placement.h"

#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/statfs.h>

#include "os/file.h"

namespace estiba::os {

void place_apart(const std::string& directory) {
  auto fd = open_file(directory, O_RDONLY | O_DIRECTORY);
  struct statfs info{};
  if (!fd || ::fstatfs(fd->get(), &info) != 0 || info.f_type != EXT4_SUPER_MAGIC) return;
  int flags = 0;
  if (::ioctl(fd->get(), FS_IOC_GETFLAGS, &flags) != 0 || flags & FS_TOPDIR_FL) return;
  flags |= FS_TOPDIR_FL;
  (void)::ioctl(fd->get(), FS_IOC_SETFLAGS, &flags);
}

}  // namespace estiba::os
