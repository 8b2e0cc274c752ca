#include "store/embedded/lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "base/strings.h"

namespace estiba::store {

namespace {

// Makes a new name in a directory durable.
Result<void> sync_directory(const std::string& path) {
  int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return fail_errno("open " + path);
  int rc = fsync(fd);
  int err = errno;
  close(fd);
  if (rc < 0) return fail_errno("sync " + path, err);
  return {};
}

// mkdir -p, with 0700 for what is made. SQLite syncs the directory of its files, not those above.
Result<void> make_directories(const std::string& path) {
  std::string parent = path.starts_with('/') ? "/" : ".";
  for (size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    std::string part = path.substr(0, end);
    if (mkdir(part.c_str(), 0700) == 0) {
      TRY(sync_directory(parent));
    } else if (errno != EEXIST) {
      return fail_errno("make directory " + part);
    }
    if (end == std::string::npos) return {};
    parent = std::move(part);
  }
}

std::string holder_of(int fd) {
  char text[32];
  ssize_t n = pread(fd, text, sizeof text, 0);
  auto pid = n > 0 ? parse_number<int>(trim({text, static_cast<size_t>(n)})) : std::nullopt;
  return pid ? "process " + std::to_string(*pid) : "another process";
}

}  // namespace

Result<DirectoryLock> DirectoryLock::take(const std::string& directory) {
  TRY(make_directories(directory));
  std::string path = directory + "/lock";
  int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return fail_errno("open " + path);
  DirectoryLock lock(fd);
  if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
    if (errno != EWOULDBLOCK) return fail_errno("lock " + path);
    return fail(Code::conflict,
                "data directory " + directory + " is in use by " + holder_of(fd) + "; stop it, or choose another directory");
  }
  // The pid only serves the message above: a full disk must not keep a store from opening.
  std::string pid = std::to_string(getpid()) + "\n";
  if (ftruncate(fd, 0) == 0) (void)!pwrite(fd, pid.data(), pid.size(), 0);
  return lock;
}

DirectoryLock::DirectoryLock(DirectoryLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

DirectoryLock& DirectoryLock::operator=(DirectoryLock&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

DirectoryLock::~DirectoryLock() {
  if (fd_ >= 0) close(fd_);
}

}  // namespace estiba::store
