#include "store/memory/memory.h"

namespace estiba::store {

RingWatch::RingWatch(std::shared_ptr<Memory> memory, std::string_view prefix, Revision after)
    : memory_(std::move(memory)), position_(after) {
  slot_.prefix = prefix;
}

// Also after a wake that has been noticed already: the hub may still be inside the callback.
RingWatch::~RingWatch() { memory_->hub.disarm(slot_); }

void RingWatch::settle(Revision position) {
  if (position <= position_) return;
  position_ = position;
  skip_ = 0;
}

// While armed, the hub has looked at every event for us: what did not match is behind us without a look into the ring.
// So a quiet watch does not fall behind however much is written elsewhere.
void RingWatch::catch_up() {
  if (!armed_) return;
  Revision processed = memory_->hub.processed();
  Revision matched = slot_.matched.load(std::memory_order_acquire);
  settle(matched ? matched - 1 : processed);
  if (matched) armed_ = false;
}

// Goes on over the events until take(event) is false; that event comes again the next time.
template <class F>
void RingWatch::scan(const Snapshot& snapshot, F&& take) {
  Revision at = 0;
  size_t index = 0;
  bool stopped = false;
  snapshot.each_event(position_, snapshot.revision, [&](const Event& event) {
    if (event.revision != at) {
      settle(at);
      at = event.revision;
      index = 0;
    }
    if (++index <= skip_) return true;
    stopped = !take(event);
    if (!stopped) skip_ = index;
    return !stopped;
  });
  if (!stopped) settle(snapshot.revision);
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
  scan(*snapshot, [&](const Event& event) {
    if (taken == max) return false;
    if (!event.entry->key.starts_with(slot_.prefix)) return true;
    out.push_back(event);
    ++taken;
    return true;
  });
  return taken;
}

// Moves on over events of other keys; true when poll() has something to say.
bool RingWatch::pending(const Snapshot& snapshot) {
  if (position_ < memory_->floor(snapshot)) return true;
  bool found = false;
  scan(snapshot, [&](const Event& event) {
    found = event.entry->key.starts_with(slot_.prefix);
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
    if (Revision matched = slot_.matched.load(std::memory_order_relaxed)) settle(matched - 1);
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
