// MemoryKeeper: gives back to the kernel what a burst left in the allocator. free() returns only what lies at the end of the heap; what
// was a thousand watches, or ten thousand objects, lies in between. How much that is tells the allocator: what is resident does not grow
// by what is freed.
#pragma once
#include <memory>
#include <vector>

#include "base/executor.h"
#include "store/store.h"

namespace estiba::server {

/// When to do so: not while much is being written, and not again for what has been given back. Sizes are bytes of the heap that are free.
class MemoryBudget {
 public:
  static constexpr uint64_t burst = 1000;        ///< so many revisions from one look to the next are a burst
  static constexpr uint64_t slack = 4ull << 20;  ///< less is not worth it

  /// True when memory should be given back now; settle() then says what is free afterwards, whose pages the kernel has.
  bool look(uint64_t free, store::Revision revision);
  void settle(uint64_t free) { settled_ = free; }

 private:
  uint64_t settled_ = 0;
  store::Revision last_ = 0;
};

/// Looks when a node's Lease is renewed, at most once in ten seconds and for a thousandth of the time: an idle server has no timer for
/// this. Belongs to the executor that makes it.
class MemoryKeeper {
 public:
  explicit MemoryKeeper(store::Store& store);
  ~MemoryKeeper();

 private:
  void wait();
  void renewed();

  store::Store& store_;
  Executor& executor_;
  std::unique_ptr<store::Watch> leases_;
  std::shared_ptr<MemoryKeeper*> self_;  // null when this is gone
  std::vector<store::Event> seen_;
  MemoryBudget budget_;
  Instant next_look_{};
};

}  // namespace estiba::server
