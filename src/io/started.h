// Started: a task that runs from now on and ends with its owner. A Job without join(), which costs nothing beside the task's own frame:
// for what happens with every request. Internal to io/.
#pragma once
#include "base/task.h"

namespace estiba::io {

class Started {
 public:
  Started() = default;
  /// Starts `task` now, on this thread. As with a Job, it must not destroy this object while it runs.
  explicit Started(Task<void> task) : task_(std::move(task)) { task_.await_suspend(std::noop_coroutine()).resume(); }
  void cancel() { task_ = {}; }

 private:
  Task<void> task_;
};

}  // namespace estiba::io
