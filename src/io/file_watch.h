// FileWatch: wakes a coroutine when a file grows, is replaced or goes (inotify(7)), so that followers of logs need no timer.
#pragma once
#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "base/task.h"

namespace estiba::io {

class FileWatch {
 public:
  /// Watches the file's directory, so that renames and new files of that name are seen as well as writes.
  static Result<FileWatch> open(const std::string& path);

  /// Watches a directory for files that are complete: closed after writing, moved or removed; and for its own end.
  static Result<FileWatch> open_directory(const std::string& path);

  /// Waits for the next change of the file or its directory; several changes may wake once. Call on a Loop.
  Task<void> changed();

 private:
  explicit FileWatch(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
};

}  // namespace estiba::io
