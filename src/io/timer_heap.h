// TimerHeap: deadlines with work, the earliest first. Arming and cancelling are O(log n) and reuse their slots.
#pragma once
#include <optional>
#include <vector>

#include "base/executor.h"

namespace estiba::io {

class TimerHeap {
 public:
  Executor::Timer add(Instant when, Executor::Work work);
  bool cancel(Executor::Timer timer);
  /// The earliest deadline.
  std::optional<Instant> next() const;
  /// Takes the earliest work that is due at `now`, or an empty function.
  Executor::Work take_due(Instant now);
  size_t size() const { return heap_.size(); }

 private:
  struct Slot {
    Instant when;
    uint64_t sequence = 0;  // equal deadlines fire in the order they were set
    uint32_t generation = 1;
    uint32_t position = 0;  // in heap_
    bool used = false;
    Executor::Work work;
  };
  bool before(uint32_t a, uint32_t b) const;
  void place(uint32_t position, uint32_t slot);
  void sift(uint32_t position);
  Executor::Work remove(uint32_t slot);

  std::vector<Slot> slots_;
  std::vector<uint32_t> free_;
  std::vector<uint32_t> heap_;  // slot numbers
  uint64_t sequence_ = 0;
};

}  // namespace estiba::io
