#include "store/memory/hub.h"

namespace estiba::store {

std::string_view Hub::bucket_of(std::string_view prefix) {
  size_t slash = prefix.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : prefix.substr(0, slash + 1);
}

void Hub::arm(Slot& slot, Revision seen, UniqueFunction<void()> notify) {
  std::string_view bucket = bucket_of(slot.prefix);
  Shard& shard = shard_of(bucket);
  std::lock_guard lock(shard.mutex);
  slot.matched.store(0, std::memory_order_relaxed);
  slot.notify = std::move(notify);
  slot.seen = seen;
  if (slot.listed) return;
  auto place = shard.buckets.find(bucket);
  if (place == shard.buckets.end()) place = shard.buckets.emplace(bucket, std::vector<Slot*>()).first;
  slot.index = place->second.size();
  slot.listed = true;
  place->second.push_back(&slot);
}

UniqueFunction<void()> Hub::disarm(Slot& slot) {
  Shard& shard = shard_of(bucket_of(slot.prefix));
  std::lock_guard lock(shard.mutex);
  if (slot.listed) unlist(shard, slot);
  return std::move(slot.notify);
}

void Hub::unlist(Shard& shard, Slot& slot) {
  auto place = shard.buckets.find(bucket_of(slot.prefix));
  auto& slots = place->second;
  slots.back()->index = slot.index;
  slots[slot.index] = slots.back();
  slots.pop_back();
  slot.listed = false;
  if (slots.empty()) shard.buckets.erase(place);
}

void Hub::wake_bucket(std::string_view bucket, const Event& event) {
  Shard& shard = shard_of(bucket);
  std::lock_guard lock(shard.mutex);
  auto place = shard.buckets.find(bucket);
  if (place == shard.buckets.end()) return;
  auto& slots = place->second;
  for (size_t i = 0; i < slots.size();) {
    Slot& slot = *slots[i];
    // Published events are shown here a moment later: the watch may have polled this one already.
    if (event.revision <= slot.seen || !event.entry->key.starts_with(slot.prefix)) {
      ++i;
      continue;
    }
    slots.back()->index = i;
    slots[i] = slots.back();
    slots.pop_back();
    slot.listed = false;
    slot.matched.store(event.revision, std::memory_order_release);
    // Under the lock, so that disarm() (and with it the watch's destructor) can promise that it does not run later.
    auto notify = std::move(slot.notify);
    notify();
  }
  if (slots.empty()) shard.buckets.erase(place);
}

void Hub::advance(Revision revision) {
  if (revision > processed_.load(std::memory_order_relaxed)) processed_.store(revision, std::memory_order_release);
}

void Hub::wake_all() {
  for (Shard& shard : shards_) {
    std::lock_guard lock(shard.mutex);
    for (auto& [_, slots] : shard.buckets) {
      for (Slot* slot : slots) {
        slot->listed = false;
        slot->matched.store(slot->seen + 1, std::memory_order_release);
        auto notify = std::move(slot->notify);
        notify();
      }
    }
    shard.buckets.clear();
  }
}

void Hub::wake(const std::vector<Event>& events) {
  for (const Event& event : events) {
    std::string_view key = event.entry->key;
    wake_bucket({}, event);
    for (size_t slash = key.find('/'); slash != std::string_view::npos; slash = key.find('/', slash + 1)) {
      wake_bucket(key.substr(0, slash + 1), event);
    }
  }
  if (!events.empty()) processed_.store(events.back().revision, std::memory_order_release);
}

}  // namespace estiba::store
