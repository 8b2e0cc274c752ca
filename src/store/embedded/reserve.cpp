#include "store/embedded/reserve.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace estiba::store {

// More than the log's length at which it is written back (4 MB), as that may lengthen the database by as much.
static constexpr off_t reserve_bytes = 6 << 20;

Reserve::Reserve(std::string path) : path_(std::move(path)) {
  struct stat info;
  held_ = stat(path_.c_str(), &info) == 0 && info.st_size == reserve_bytes && info.st_blocks * 512 >= reserve_bytes;
}

bool Reserve::ensure() {
  if (held_ || !supported_) return true;
  int fd = open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return false;
  held_ = fallocate(fd, 0, 0, reserve_bytes) == 0;
  if (!held_ && errno == EOPNOTSUPP) supported_ = false;
  close(fd);
  if (!held_) unlink(path_.c_str());
  return held_ || !supported_;
}

bool Reserve::release() {
  if (!held_) return false;
  held_ = false;
  return unlink(path_.c_str()) == 0;
}

}  // namespace estiba::store
