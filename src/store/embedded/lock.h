// DirectoryLock: one process at a time works on a data directory.
#pragma once
#include <string>

#include "base/result.h"

namespace estiba::store {

/// Holds an flock(2) on `<directory>/lock`, a file with the holder's pid in it. The kernel lets go of the lock when the
/// process ends in whatever way, so a stale file is harmless.
class DirectoryLock {
 public:
  /// Makes the directory (mode 0700) when it is missing. Code::conflict when another process holds the lock; the message
  /// names the directory and the pid.
  static Result<DirectoryLock> take(const std::string& directory);
  DirectoryLock(DirectoryLock&& other) noexcept;
  DirectoryLock& operator=(DirectoryLock&& other) noexcept;
  ~DirectoryLock();

 private:
  explicit DirectoryLock(int fd) : fd_(fd) {}
  int fd_ = -1;
};

}  // namespace estiba::store
