// What readers of a store see: a Snapshot, which the writer replaces as a whole.
//
// A snapshot holds the tree of keys at its revision and the ring of recent events. The ring is a list of chunks; a chunk
// holds events by ascending revision and the tree as it was before its first event, so that any revision inside the ring
// can be read again. A revision may have no event of ours or several (another program's transaction in etcd). The writer
// appends to the last chunk in place: a reader never looks at events beyond its snapshot's count, and those before it no
// longer change.
#pragma once
#include <algorithm>
#include <atomic>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "base/executor.h"
#include "store/memory/ref.h"
#include "store/memory/tree.h"
#include "store/store.h"

namespace estiba::store {

/// How much history is kept. The ring is cut at `events` or `bytes`, whichever is reached first, but never shorter than
/// what happened within `least_age`. What is older than `most_age` goes with the next write, as kube-apiserver has it
/// (--etcd-compaction-interval): memory does not stay full of the last burst, and who reads on from long ago is told.
struct HistoryLimits {
  size_t events = 65536;
  size_t bytes = 16 << 20;
  Duration least_age = std::chrono::seconds(1);
  Duration most_age = std::chrono::minutes(5);
};

struct Chunk : Counted {
  static constexpr size_t capacity = 256;
  static constexpr size_t seal_bytes = 1 << 20;  ///< a chunk with more is closed early, so that the cut is not too coarse

  Revision first = 0;  ///< the revision of events[0]
  Tree before;         ///< the keys before events[0]
  Event events[capacity];

  size_t used = 0;  ///< changes while the chunk is the last one: readers look at it only when another follows
  // Only the writer looks at these.
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
  size_t last_used = 0;  ///< how many events of the ring's last chunk belong to this snapshot

  /// A place in the ring; `index` may be just behind a chunk's last event.
  struct Position {
    size_t chunk;
    size_t index;
  };
  /// Where the first event after revision `after` is; `after` is in [ring->floor, this->revision].
  Position locate(Revision after) const;
  size_t used(size_t chunk) const { return chunk + 1 < ring->chunks.size() ? ring->chunks[chunk]->used : last_used; }
  /// Calls visit(event) for revisions in (after, until] in order until it returns false.
  template <class F>
  void each_event(Revision after, Revision until, F&& visit) const {
    if (after < until) each_from(locate(after), until, visit);
  }
  /// The keys at a revision in [ring->floor, this->revision].
  Tree tree_at(Revision at) const;
  /// The entry of one key at a revision in [ring->floor, this->revision], or null.
  EntryPtr find_at(std::string_view key, Revision at) const;

 private:
  template <class F>
  void each_from(Position from, Revision until, F&& visit) const {
    for (auto [chunk, index] = from; chunk < ring->chunks.size(); ++chunk, index = 0) {
      const Chunk& c = *ring->chunks[chunk];
      for (const size_t end = used(chunk); index < end; ++index) {
        if (c.events[index].revision > until || !visit(c.events[index])) return;
      }
    }
  }
  /// The last chunk that begins at `at` or before; none when the ring has only later events.
  std::optional<size_t> chunk_of(Revision at) const;
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
  /// Appends an event of revision() or later; it becomes visible with the next snapshot. Events of one revision are
  /// published together.
  void append(Event event, Instant now);
  /// There are no further events up to `revision`.
  void advance(Revision revision) { revision_ = std::max(revision_, revision); }
  /// Drops what is older than the limits and than `compacted`, and makes the snapshot of now.
  Ref<Snapshot> publish(Instant now, Revision compacted);

 private:
  void trim(Instant now, Revision compacted);
  Revision aged(Instant now);

  struct Mark {
    Instant from, to;   ///< the first and the last moment that something was published in
    Revision revision;  ///< the newest one at the last
  };
  HistoryLimits limits_;
  std::deque<Mark> marks_;  ///< some a most_age, the oldest first
  Revision revision_;
  Tree tree_;
  Ref<Ring> ring_;  ///< shared with snapshots: replaced, never changed
  size_t events_ = 0;
  size_t bytes_ = 0;
};

}  // namespace estiba::store
