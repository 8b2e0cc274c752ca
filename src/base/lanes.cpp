#include "base/lanes.h"

#include <algorithm>

namespace estiba {
namespace {

Task<void> lane(UniqueFunction<Task<void>(size_t)>* make, size_t* next, size_t count) {
  while (*next < count) co_await (*make)((*next)++);
}

}  // namespace

Task<void> in_lanes(size_t count, size_t lanes, UniqueFunction<Task<void>(size_t)> make) {
  size_t next = 0;
  TaskGroup group;
  for (size_t i = 0; i < std::min(count, lanes); ++i) group.start(lane(&make, &next, count));
  co_await group.join();
}

}  // namespace estiba
