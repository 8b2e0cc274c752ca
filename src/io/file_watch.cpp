#include "io/file_watch.h"

#include <sys/inotify.h>
#include <unistd.h>

#include "io/loop.h"

namespace estiba::io {

static Result<Fd> watch_directory(const std::string& directory, uint32_t events) {
  Fd fd(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!fd) return fail_errno("inotify_init1");
  if (inotify_add_watch(fd.get(), directory.c_str(), events) < 0) return fail_errno("watch " + directory);
  return fd;
}

Result<FileWatch> FileWatch::open(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  return FileWatch(TRY(watch_directory(directory, IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE)));
}

Result<FileWatch> FileWatch::open_directory(const std::string& path) {
  return FileWatch(TRY(watch_directory(path, IN_CLOSE_WRITE | IN_MOVE | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF)));
}

Task<void> FileWatch::changed() {
  co_await Loop::current()->readable(fd_.get());
  char events[4096];
  while (::read(fd_.get(), events, sizeof events) > 0) continue;
}

}  // namespace estiba::io
