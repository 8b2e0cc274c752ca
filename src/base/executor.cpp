#include "base/executor.h"

namespace estiba {

static thread_local Executor* current_executor = nullptr;

Executor* Executor::current() { return current_executor; }

Executor* Executor::set_current(Executor* executor) { return std::exchange(current_executor, executor); }

}  // namespace estiba
