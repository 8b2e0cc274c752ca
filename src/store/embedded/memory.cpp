#include "store/embedded/memory.h"

namespace estiba::store {

RingWatch::RingWatch(std::shared_ptr<Memory> memory, std::string_view prefix, Revision after)
    : memory_(std::move(memory)), position_(after) {
  slot_.prefix = prefix;
}

// Also after a wake that has been noticed already: the hub may still be inside the callback.
RingWatch::~RingWatch() { memory_->hub.disarm(slot_); }

// While armed, the hub has looked at every event for us: what did not match is behind us without a look into the ring.
// So a quiet watch does not fall behind however much is written elsewhere.
void RingWatch::catch_up() {
  if (!armed_) return;
  Revision processed = memory_->hub.processed();
  Revision matched = slot_.matched.load(std::memory_order_acquire);
  position_ = std::max(position_, matched ? matched - 1 : processed);
  if (matched) armed_ = false;
}

Result<size_t> RingWatch::poll(std::vector<Event>& out, size_t max) {
  catch_up();
  if (armed_) return 0;
  auto snapshot = memory_->newest.load();
  Revision floor = memory_->floor(*snapshot);
  if (position_ < floor) {
    return fail(Code::gone, "watch " + slot_.prefix + ": revision " + std::to_string(position_) + " is too old, history starts at " +
                                std::to_string(floor) + "; list again");
  }
  size_t taken = 0;
  if (max == 0) return taken;
  snapshot->each_event(position_, snapshot->revision, [&](const Event& event) {
    if (event.entry->key.starts_with(slot_.prefix)) {
      out.push_back(event);
      ++taken;
    }
    position_ = event.revision;
    return taken < max;
  });
  return taken;
}

// Moves position_ over events of other keys; true when poll() has something to say.
bool RingWatch::pending(const Snapshot& snapshot) {
  if (position_ < memory_->floor(snapshot)) return true;
  bool found = false;
  snapshot.each_event(position_, snapshot.revision, [&](const Event& event) {
    found = event.entry->key.starts_with(slot_.prefix);
    if (!found) position_ = event.revision;
    return !found;
  });
  return found;
}

void RingWatch::arm(UniqueFunction<void()> notify) {
  catch_up();
  if (armed_) {
    // Still listed, or woken this instant: only the callback changes hands.
    auto old = memory_->hub.disarm(slot_);
    // Not catch_up(): the hub may have gone through events since the slot was taken out.
    if (Revision matched = slot_.matched.load(std::memory_order_relaxed)) position_ = std::max(position_, matched - 1);
    armed_ = false;
  }
  if (pending(*memory_->newest.load())) return notify();
  memory_->hub.arm(slot_, position_, std::move(notify));
  armed_ = true;
  // The writer publishes before it wakes: what it published before we were listed is seen here.
  if (!pending(*memory_->newest.load())) return;
  auto unused = memory_->hub.disarm(slot_);
  armed_ = false;
  if (unused) unused();  // null when the hub was quicker
}

}  // namespace estiba::store
