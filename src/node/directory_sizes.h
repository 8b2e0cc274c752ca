// What directories take on disk, many at a time: one piece of work on the pool for all of them, so that looking after the limits of a
// hundred pods wakes the node once. A walk's result is given again for thirty times as long as the walk took.
#pragma once
#include <map>
#include <set>
#include <string>

#include "base/task.h"
#include "image/overlay.h"
#include "io/pool.h"

namespace estiba::node {

class DirectorySizes {
 public:
  DirectorySizes(Executor& executor, io::Pool& pool) : executor_(executor), pool_(pool) {}

  /// Walks what is to be walked of these, and forgets all others.
  Task<void> look(std::set<std::string> paths);
  /// Of what was looked at; zeros for what is not there.
  image::Usage of(const std::string& path) const;

 private:
  struct Known {
    image::Usage usage;
    Instant until{};
  };
  Executor& executor_;
  io::Pool& pool_;
  std::map<std::string, Known> known_;
};

}  // namespace estiba::node
