#include "io/file_watch.h"

#include <sys/inotify.h>
#include <unistd.h>

#include "io/loop.h"

namespace estiba::io {

Result<FileWatch> FileWatch::open(const std::string& path) {
  Fd fd(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!fd) return fail_errno("inotify_init1");
  const size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  if (inotify_add_watch(fd.get(), directory.c_str(), IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE) < 0)
    return fail_errno("watch " + directory);
  return FileWatch(std::move(fd));
}

Task<void> FileWatch::changed() {
  co_await Loop::current()->readable(fd_.get());
  char events[4096];
  while (::read(fd_.get(), events, sizeof events) > 0) continue;
}

}  // namespace estiba::io
