#include "io/timer_heap.h"

namespace estiba::io {

bool TimerHeap::before(uint32_t a, uint32_t b) const {
  if (slots_[a].when != slots_[b].when) return slots_[a].when < slots_[b].when;
  return slots_[a].sequence < slots_[b].sequence;
}

void TimerHeap::place(uint32_t position, uint32_t slot) {
  heap_[position] = slot;
  slots_[slot].position = position;
}

void TimerHeap::sift(uint32_t position) {
  uint32_t slot = heap_[position];
  while (position > 0 && before(slot, heap_[(position - 1) / 2])) {
    place(position, heap_[(position - 1) / 2]);
    position = (position - 1) / 2;
  }
  for (;;) {
    uint32_t child = position * 2 + 1;
    if (child >= heap_.size()) break;
    if (child + 1 < heap_.size() && before(heap_[child + 1], heap_[child])) ++child;
    if (!before(heap_[child], slot)) break;
    place(position, heap_[child]);
    position = child;
  }
  place(position, slot);
}

Executor::Timer TimerHeap::add(Instant when, Executor::Work work) {
  uint32_t slot;
  if (free_.empty()) {
    slot = uint32_t(slots_.size());
    slots_.emplace_back();
  } else {
    slot = free_.back();
    free_.pop_back();
  }
  Slot& s = slots_[slot];
  s.when = when;
  s.sequence = ++sequence_;
  s.used = true;
  s.work = std::move(work);
  heap_.push_back(slot);
  sift(uint32_t(heap_.size() - 1));
  return {uint64_t(s.generation) << 32 | (slot + 1)};
}

Executor::Work TimerHeap::remove(uint32_t slot) {
  Slot& s = slots_[slot];
  uint32_t position = s.position;
  uint32_t last = heap_.back();
  heap_.pop_back();
  if (last != slot) {
    place(position, last);
    sift(position);
  }
  s.used = false;
  if (++s.generation == 0) s.generation = 1;
  free_.push_back(slot);
  return std::move(s.work);
}

bool TimerHeap::cancel(Executor::Timer timer) {
  uint32_t slot = uint32_t(timer.id) - 1;
  if (slot >= slots_.size() || !slots_[slot].used || slots_[slot].generation != timer.id >> 32) return false;
  remove(slot);
  return true;
}

std::optional<Instant> TimerHeap::next() const {
  if (heap_.empty()) return std::nullopt;
  return slots_[heap_[0]].when;
}

Executor::Work TimerHeap::take_due(Instant now) {
  if (heap_.empty() || slots_[heap_[0]].when > now) return {};
  return remove(heap_[0]);
}

}  // namespace estiba::io
