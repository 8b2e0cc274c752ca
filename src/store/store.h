// The revisioned store: etcd v3's meaning behind a small interface. It knows bytes, keys and revisions, nothing of objects.
//
// Every successful write gets the next revision. Reads and watches see a consistent snapshot at a revision and never
// block. A write is answered after it is durable. Implementations: embedded/ (SQLite below, everything in memory) and etcd/.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/function.h"
#include "base/result.h"
#include "base/shared_text.h"
#include "base/task.h"

namespace estiba::store {

using Revision = int64_t;

/// What an upper layer keeps beside a value so that it is decoded at most once (the API server's model::Object).
/// Never persisted.
struct Attachment {
  virtual ~Attachment() = default;
};

/// One version of one key. Immutable but for the attachment: the first one stays, unless it is replaced by its equal.
struct Entry {
  std::string key;
  SharedText value;  ///< the writer may go on sharing the bytes
  Revision create_revision = 0;
  Revision mod_revision = 0;
  int64_t version = 0;  ///< 1 at creation

  /// Null until someone has attached one.
  std::shared_ptr<const Attachment> attachment() const;
  /// Returns what is attached afterwards: `made`, or what another thread attached before.
  std::shared_ptr<const Attachment> attach(std::shared_ptr<const Attachment> made) const;
  /// Readers get `now` instead of `before` from here on; nothing happens when it is no longer `before` that is attached.
  void replace(const std::shared_ptr<const Attachment>& before, std::shared_ptr<const Attachment> now) const;

 private:
  class Locked;
  mutable std::shared_ptr<const Attachment> held_;  // guarded by lock_
  mutable std::atomic<bool> any_{false};            // whether something is held, for who asks without the lock
  mutable std::atomic_flag lock_;
};
using EntryPtr = std::shared_ptr<const Entry>;

struct Write {
  enum class Kind : uint8_t { put, remove };
  Kind kind = Kind::put;
  std::string key;
  SharedText value;
  /// The key's mod_revision must be this: 0 means the key must not exist; `any` means no comparison.
  Revision expect = any;
  std::shared_ptr<const Attachment> attachment;
  /// Writes that happen together with this one or not at all: no reader sees the one without the others. All keys differ, at
  /// most 100 of them. When one of their comparisons fails, nothing is written and the error is Code::conflict.
  std::vector<Write> with = {};
  static constexpr Revision any = -1;
};

struct WriteResult {
  Revision revision = 0;  ///< no write of its `with` has a later one
  EntryPtr entry;         ///< the new version; for a removal the last version before it
  EntryPtr previous;      ///< the version before, or null; for a removal the same as `entry`
};

struct ListOptions {
  Revision revision = 0;    ///< 0: the newest
  uint64_t limit = 0;       ///< 0: all
  std::string start_after;  ///< continue behind this key (exclusive); empty: from the prefix's start
};
struct ListResult {
  Revision revision = 0;          ///< the snapshot's revision
  std::vector<EntryPtr> entries;  ///< in key order
  bool more = false;
  uint64_t remaining = 0;  ///< how many follow, when `more`
};

struct Event {
  enum class Kind : uint8_t { put, remove };
  Kind kind = Kind::put;
  Revision revision = 0;
  EntryPtr entry;     ///< put: the new version; remove: the last version
  EntryPtr previous;  ///< put: the version before, or null when created; remove: the same as `entry`
};

/// A position in the stream of events of one prefix. Not thread-safe itself; one thread pulls.
class Watch {
 public:
  virtual ~Watch() = default;
  /// Appends at most `max` pending events in revision order and returns how many. Code::gone when the watch fell behind
  /// what is kept or its start was compacted: list again.
  virtual Result<size_t> poll(std::vector<Event>& out, size_t max) = 0;
  /// Every event up to this revision has been returned by poll (a bookmark may say so).
  virtual Revision position() const = 0;
  /// Called (once per call of arm, from any thread) as soon as poll may return something new or an error; at once, from
  /// within arm, when that is already so. The callback must be quick and must not touch the watch: post to an executor.
  /// It never runs after the watch is destroyed. Arming again replaces a callback that has not run.
  virtual void arm(UniqueFunction<void()> notify) = 0;
};

class Store {
 public:
  virtual ~Store() = default;

  /// The newest revision that readers see.
  virtual Revision revision() const = 0;
  /// The oldest one that can be read at or watched from; it may be gone by the next call.
  virtual Revision oldest() const = 0;

  /// Not found gives Code::not_found; a compacted revision Code::gone; a future one Code::invalid.
  virtual Result<EntryPtr> get(std::string_view key, Revision at = 0) = 0;
  virtual Result<ListResult> list(std::string_view prefix, const ListOptions& options = {}) = 0;
  /// Number of keys under a prefix now.
  virtual uint64_t count(std::string_view prefix) = 0;

  /// One durable write. A failed comparison gives Code::conflict (Code::already_exists when `expect` was 0, and
  /// Code::not_found when the key is absent); a full disk Code::exhausted. `done` runs on the writer's thread.
  virtual void write(Write write, UniqueFunction<void(Result<WriteResult>)> done) = 0;
  /// Events after `after` (exclusive) for keys under the prefix. Code::gone when events after it are no longer kept,
  /// Code::invalid when `after` is in the future.
  virtual Result<std::unique_ptr<Watch>> watch(std::string_view prefix, Revision after) = 0;
  /// Forgets history before `revision`: reads at and watches after an older revision get Code::gone. Compacting again
  /// what is compacted already does nothing; a future revision gives Code::invalid.
  virtual Result<void> compact(Revision revision) = 0;

  /// write() for coroutines; resumes on the calling executor.
  Task<Result<WriteResult>> commit(Write write);
};

}  // namespace estiba::store
