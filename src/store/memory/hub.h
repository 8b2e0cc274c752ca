// Hub: wakes armed watches. Watches lie in buckets by the part of their prefix up to its last '/', so that a write looks
// only into the few buckets that its key's own slashes name and touches no watch of another resource.
#pragma once
#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/function.h"
#include "store/store.h"

namespace estiba::store {

class Hub {
 public:
  /// One watch's place in the hub.
  struct Slot {
    std::string prefix;
    /// While armed: the first revision that matched since, or 0.
    std::atomic<Revision> matched{0};

   private:
    friend class Hub;
    // Guarded by the bucket's shard.
    UniqueFunction<void()> notify;
    Revision seen = 0;
    bool listed = false;
    size_t index = 0;
  };

  explicit Hub(Revision start) : processed_(start) {}

  /// Lists the slot: the next wake() with a matching event after `seen` sets `matched` and calls `notify`, once.
  void arm(Slot& slot, Revision seen, UniqueFunction<void()> notify);
  /// Unlists the slot and gives back its callback, null when it has run. After this it does not run any more.
  UniqueFunction<void()> disarm(Slot& slot);
  /// Tells the watches of new events, in revision order; after the snapshot with them has been published.
  void wake(const std::vector<Event>& events);
  /// Tells that nothing more comes up to `revision`.
  void advance(Revision revision);
  /// Wakes every armed watch: events were lost, and each has to look what became of it.
  void wake_all();
  /// Every event up to here has been shown to the slots that were armed then. Read it before `matched`.
  Revision processed() const { return processed_.load(std::memory_order_acquire); }

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view s) const { return std::hash<std::string_view>{}(s); }
  };
  struct Shard {
    std::mutex mutex;
    std::unordered_map<std::string, std::vector<Slot*>, Hash, std::equal_to<>> buckets;
  };
  static std::string_view bucket_of(std::string_view prefix);
  Shard& shard_of(std::string_view bucket) { return shards_[Hash{}(bucket) % shards_.size()]; }
  void unlist(Shard& shard, Slot& slot);
  void wake_bucket(std::string_view bucket, const Event& event);

  std::array<Shard, 16> shards_;
  std::atomic<Revision> processed_;
};

}  // namespace estiba::store
