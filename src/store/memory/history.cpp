#include "store/memory/history.h"

#include <algorithm>

namespace estiba::store {

namespace {
// What is kept only for this event's sake, in bytes: the version that it replaced or removed. The new one is there anyway until another
// event counts it.
size_t cost_of(const Event& event) {
  const Entry* old = event.previous.get();
  return sizeof(Event) + (old ? old->key.size() + old->value.size() + sizeof(Entry) : 0);
}

void apply(Tree& tree, const Event& event) {
  if (event.kind == Event::Kind::put) {
    tree.put(event.entry);
  } else {
    tree.erase(event.entry->key);
  }
}
}  // namespace

std::optional<size_t> Snapshot::chunk_of(Revision at) const {
  const auto& chunks = ring->chunks;
  auto after = std::upper_bound(chunks.begin(), chunks.end(), at, [](Revision r, const Ref<Chunk>& c) { return r < c->first; });
  if (after == chunks.begin()) return std::nullopt;
  return static_cast<size_t>(after - chunks.begin()) - 1;
}

Snapshot::Position Snapshot::locate(Revision after) const {
  auto chunk = chunk_of(after);
  if (!chunk) return {0, 0};
  const Event* events = ring->chunks[*chunk]->events;
  auto next = std::upper_bound(events, events + used(*chunk), after, [](Revision r, const Event& event) { return r < event.revision; });
  return {*chunk, static_cast<size_t>(next - events)};
}

Tree Snapshot::tree_at(Revision at) const {
  if (at == revision || ring->chunks.empty()) return tree;
  const size_t chunk = chunk_of(at).value_or(0);
  Tree past = ring->chunks[chunk]->before;
  each_from({chunk, 0}, at, [&](const Event& event) {
    apply(past, event);
    return true;
  });
  return past;
}

EntryPtr Snapshot::find_at(std::string_view key, Revision at) const {
  const Tree* base = &tree;
  EntryPtr found;
  bool touched = false;
  if (at < revision && !ring->chunks.empty()) {
    const size_t chunk = chunk_of(at).value_or(0);
    base = &ring->chunks[chunk]->before;
    each_from({chunk, 0}, at, [&](const Event& event) {
      if (event.entry->key == key) {
        touched = true;
        found = event.kind == Event::Kind::put ? event.entry : nullptr;
      }
      return true;
    });
  }
  if (touched) return found;
  const EntryPtr* entry = base->find(key);
  return entry ? *entry : nullptr;
}

uint64_t SnapshotCell::hold(Ref<Snapshot> snapshot) {
  Snapshot* object = snapshot.leak();
  Ref<Snapshot>::retain_raw(object, bias - 1);
  return reinterpret_cast<uint64_t>(object);
}

SnapshotCell::SnapshotCell(Ref<Snapshot> first) : word_(hold(std::move(first))) {}

SnapshotCell::~SnapshotCell() { Ref<Snapshot>::release_raw(pointer(word_.load(std::memory_order_acquire)), bias); }

Ref<Snapshot> SnapshotCell::load() const {
  uint64_t word = word_.fetch_add(one, std::memory_order_acquire) + one;
  Snapshot* snapshot = pointer(word);
  Ref<Snapshot>::retain_raw(snapshot, 1);
  // Take back the mark. When the writer has replaced the pointer meanwhile, it has counted the mark as a reference.
  for (;;) {
    if (word_.compare_exchange_weak(word, word - one, std::memory_order_release, std::memory_order_relaxed)) break;
    if (pointer(word) != snapshot) {
      Ref<Snapshot>::release_raw(snapshot, 1);
      break;
    }
  }
  return Ref<Snapshot>::adopt(snapshot);
}

void SnapshotCell::store(Ref<Snapshot> next) {
  uint64_t old = word_.exchange(hold(std::move(next)), std::memory_order_acq_rel);
  Ref<Snapshot>::release_raw(pointer(old), bias - static_cast<uint32_t>(old >> 48));
}

History::History(HistoryLimits limits, Revision start, Tree tree)
    : limits_(limits), revision_(start), tree_(std::move(tree)), ring_(new Ring) {
  ring_->floor = start;
}

void History::append(Event event, Instant now) {
  const auto& chunks = ring_->chunks;
  if (chunks.empty() || chunks.back()->used == Chunk::capacity || chunks.back()->bytes >= Chunk::seal_bytes) {
    Ref<Ring> ring(new Ring);
    ring->floor = ring_->floor;
    ring->chunks = chunks;
    Ref<Chunk> chunk(new Chunk);
    chunk->first = event.revision;
    chunk->before = tree_;
    ring->chunks.push_back(std::move(chunk));
    ring_ = std::move(ring);
  }
  Chunk& chunk = *ring_->chunks.back();
  size_t cost = cost_of(event);
  apply(tree_, event);
  revision_ = event.revision;
  chunk.events[chunk.used++] = std::move(event);
  chunk.bytes += cost;
  chunk.last_at = now;
  ++events_;
  bytes_ += cost;
}

// The revision that was the newest one most_age ago, or 0; within an eighth of it.
Revision History::aged(Instant now) {
  Revision out = 0;
  for (; !marks_.empty() && now - marks_.front().to >= limits_.most_age; marks_.pop_front()) out = marks_.front().revision;
  if (marks_.empty() || now - marks_.back().from >= limits_.most_age / 8) marks_.push_back({now, now, revision_});
  else marks_.back() = {marks_.back().from, now, revision_};
  return out;
}

void History::trim(Instant now, Revision compacted) {
  const auto& chunks = ring_->chunks;
  size_t drop = 0;
  Revision floor = std::max({ring_->floor, compacted, aged(now)});
  while (drop < chunks.size()) {
    const Chunk& chunk = *chunks[drop];
    Revision last = chunk.events[chunk.used - 1].revision;
    bool surplus =
        (events_ > limits_.events || bytes_ > limits_.bytes) && now - chunk.last_at > limits_.least_age && drop + 1 < chunks.size();
    if (!surplus && last > floor) break;
    events_ -= chunk.used;
    bytes_ -= chunk.bytes;
    floor = std::max(floor, last);
    ++drop;
  }
  if (drop == 0 && floor == ring_->floor) return;
  Ref<Ring> ring(new Ring);
  ring->floor = floor;
  ring->chunks.assign(chunks.begin() + static_cast<ptrdiff_t>(drop), chunks.end());
  ring_ = std::move(ring);
}

Ref<Snapshot> History::publish(Instant now, Revision compacted) {
  trim(now, compacted);
  Ref<Snapshot> snapshot(new Snapshot);
  snapshot->revision = revision_;
  snapshot->tree = tree_;
  snapshot->ring = ring_;
  snapshot->last_used = ring_->chunks.empty() ? 0 : ring_->chunks.back()->used;
  return snapshot;
}

}  // namespace estiba::store
