// Many tasks of one kind, some of them at a time: what is under way holds memory, and ten thousand at once hold it all.
#pragma once
#include <cstddef>

#include "base/function.h"
#include "base/task.h"

namespace estiba {

/// How many writes one caller has under way at once: enough that the store syncs them together.
inline constexpr size_t write_lanes = 64;

/// Runs make(0) … make(count - 1), started in this order, at most `lanes` of them at a time; ends when all have ended.
Task<void> in_lanes(size_t count, size_t lanes, UniqueFunction<Task<void>(size_t)> make);

}  // namespace estiba
