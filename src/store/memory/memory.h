// Memory: what the threads that read and watch share with the writer. Watches keep it alive.
#pragma once
#include <memory>

#include "store/memory/history.h"
#include "store/memory/hub.h"

namespace estiba::store {

struct Memory {
  explicit Memory(Ref<Snapshot> first) : newest(first), hub(first->revision) {}

  /// The oldest revision that can be read or watched from, as seen with this snapshot.
  Revision floor(const Snapshot& snapshot) const { return std::max(snapshot.ring->floor, compacted.load(std::memory_order_relaxed)); }

  SnapshotCell newest;
  Hub hub;
  /// Asked for by compact(); the writer frees the memory with its next batch.
  std::atomic<Revision> compacted{0};
};

/// A position in the ring for one prefix.
class RingWatch final : public Watch {
 public:
  RingWatch(std::shared_ptr<Memory> memory, std::string_view prefix, Revision after);
  ~RingWatch() override;

  Result<size_t> poll(std::vector<Event>& out, size_t max) override;
  Revision position() const override { return position_; }
  void arm(UniqueFunction<void()> notify) override;

 private:
  template <class F>
  void scan(const Snapshot& snapshot, F&& take);
  void settle(Revision position);
  bool pending(const Snapshot& snapshot);
  void catch_up();

  std::shared_ptr<Memory> memory_;
  Hub::Slot slot_;
  Revision position_;
  size_t skip_ = 0;     ///< so many events of the revision after position_ have been returned already
  bool armed_ = false;  ///< in the hub since everything up to position_ was looked at
};

}  // namespace estiba::store
