// background(): work that must be done whole though the client that asked for it goes away.
#pragma once
#include <memory>
#include <optional>
#include <utility>

#include "base/task.h"

namespace estiba::docker {

/// Runs `task` in `group` and waits for its value. Dropping the waiting does not drop the work.
template <class T>
Task<T> background(TaskGroup& group, Task<T> task) {
  struct State {
    std::optional<T> value;
    Event done;
  };
  struct Run {
    static Task<void> go(Task<T> task, std::shared_ptr<State> state) {
      state->value.emplace(co_await std::move(task));
      state->done.set();
    }
  };
  auto state = std::make_shared<State>();
  group.start(Run::go(std::move(task), state));
  co_await state->done.wait();
  co_return std::move(*state->value);
}

}  // namespace estiba::docker
