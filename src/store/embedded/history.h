// What readers of the embedded store see: a Snapshot, which the writer replaces as a whole.
//
// A snapshot holds the tree of keys at its revision and the ring of recent events. The ring is a list of chunks; a chunk
// holds consecutive revisions (one event each) and the tree as it was before its first event, so that any revision inside
// the ring can be read again. The writer appends to the last chunk in place: a reader never looks at events beyond its
// snapshot's revision, and those before it no longer change.
#pragma once
#include <atomic>
#include <memory>
#include <vector>

#include "base/executor.h"
#include "store/embedded/ref.h"
#include "store/embedded/tree.h"
#include "store/store.h"

namespace estiba::store {

/// How much history is kept. The ring is cut at `events` or `bytes`, whichever is reached first, but never shorter than
/// what happened within `least_age`.
struct HistoryLimits {
  size_t events = 65536;
  size_t bytes = 16 << 20;
  Duration least_age = std::chrono::seconds(1);
};

struct Chunk : Counted {
  static constexpr size_t capacity = 256;
  static constexpr size_t seal_bytes = 1 << 20;  ///< a chunk with more is closed early, so that the cut is not too coarse

  Revision first = 0;  ///< the revision of events[0]
  Tree before;         ///< the keys at revision first - 1
  Event events[capacity];

  // Only the writer looks at these.
  size_t used = 0;
  size_t bytes = 0;
  Instant last_at{};
};

/// The chunks that are kept, oldest first. Immutable.
struct Ring : Counted {
  Revision floor = 0;  ///< the oldest revision that can be read or watched from
  std::vector<Ref<Chunk>> chunks;
};

struct Snapshot : Counted {
  Revision revision = 0;
  Tree tree;
  Ref<Ring> ring;

  /// The chunk and index of an event; `revision` is in (ring->floor, this->revision].
  struct Position {
    size_t chunk;
    size_t index;
  };
  Position locate(Revision revision) const;
  /// Calls visit(event) for revisions in (after, until] in order until it returns false.
  template <class F>
  void each_event(Revision after, Revision until, F&& visit) const {
    if (after >= until) return;
    auto [chunk, index] = locate(after + 1);
    for (Revision r = after + 1; r <= until; ++chunk, index = 0) {
      const Chunk& c = *ring->chunks[chunk];
      Revision end = chunk + 1 < ring->chunks.size() ? ring->chunks[chunk + 1]->first : until + 1;
      for (; r < end && r <= until; ++r, ++index) {
        if (!visit(c.events[index])) return;
      }
    }
  }
  /// The keys at a revision in [ring->floor, this->revision].
  Tree tree_at(Revision at) const;
  /// The entry of one key at a revision in [ring->floor, this->revision], or null.
  EntryPtr find_at(std::string_view key, Revision at) const;
};

/// The one place where the newest snapshot is. Readers take a reference without a lock and without waiting: the upper 16
/// bits of the word count the readers that have seen the pointer and not yet counted themselves in the snapshot; the
/// writer moves that count over when it replaces the pointer. Until then the cell holds `bias` references, so that the
/// count cannot reach zero before the marks have been added.
class SnapshotCell {
 public:
  explicit SnapshotCell(Ref<Snapshot> first);
  ~SnapshotCell();
  SnapshotCell(const SnapshotCell&) = delete;

  Ref<Snapshot> load() const;
  /// One writer at a time.
  void store(Ref<Snapshot> next);

 private:
  static constexpr uint64_t one = uint64_t{1} << 48;
  static constexpr uint32_t bias = 1 << 20;
  static uint64_t hold(Ref<Snapshot> snapshot);
  static Snapshot* pointer(uint64_t word) { return reinterpret_cast<Snapshot*>(word & (one - 1)); }
  mutable std::atomic<uint64_t> word_;
};

/// The writer's side of the ring. Used by one thread.
class History {
 public:
  History(HistoryLimits limits, Revision start, Tree tree);

  const Tree& tree() const { return tree_; }
  Revision revision() const { return revision_; }
  /// Appends an event of revision() + 1; it becomes visible with the next snapshot.
  void append(Event event, Instant now);
  /// Drops what is older than the limits and than `compacted`, and makes the snapshot of now.
  Ref<Snapshot> publish(Instant now, Revision compacted);

 private:
  void trim(Instant now, Revision compacted);

  HistoryLimits limits_;
  Revision revision_;
  Tree tree_;
  Ref<Ring> ring_;  ///< shared with snapshots: replaced, never changed
  size_t events_ = 0;
  size_t bytes_ = 0;
};

}  // namespace estiba::store
