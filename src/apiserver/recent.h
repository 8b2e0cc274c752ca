// A small cache of what has just been made and will be asked for again: one event in one form for a thousand watchers.
// What it holds is bounded in number and in bytes; any thread.
#pragma once
#include <array>
#include <cstddef>
#include <functional>
#include <mutex>
#include <optional>
#include <utility>

namespace estiba::apiserver {

/// Key has == and `size_t hash() const`.
template <class Key, class Value, size_t slots, size_t max_bytes>
class Recent {
 public:
  std::optional<Value> find(const Key& key) {
    const std::lock_guard lock(mutex_);
    const Slot& slot = slots_[key.hash() % slots];
    if (!slot.pair || !(slot.pair->first == key)) return std::nullopt;
    return slot.pair->second;
  }
  /// `bytes`: what the value holds.
  void put(Key key, Value value, size_t bytes) {
    Slot fresh{std::make_pair(std::move(key), std::move(value)), bytes};
    const std::lock_guard lock(mutex_);
    if (bytes_ + bytes > max_bytes) {
      for (Slot& slot : slots_) slot = {};
      bytes_ = 0;
    }
    if (bytes > max_bytes) return;
    Slot& slot = slots_[fresh.pair->first.hash() % slots];
    bytes_ += bytes - slot.bytes;
    std::swap(slot, fresh);
  }

 private:
  struct Slot {
    std::optional<std::pair<Key, Value>> pair;
    size_t bytes = 0;
  };
  std::mutex mutex_;
  std::array<Slot, slots> slots_;
  size_t bytes_ = 0;
};

inline size_t hash_of(const void* pointer, int64_t number, size_t more) {
  size_t out = std::hash<const void*>{}(pointer) ^ (size_t(number) * 0x9e3779b97f4a7c15ull) ^ (more * 0xc2b2ae3d27d4eb4full);
  return out ^ (out >> 29);
}

}  // namespace estiba::apiserver
