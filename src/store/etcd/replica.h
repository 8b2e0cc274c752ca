// Replica: the copy in memory of the keys below a prefix of etcd, fed by one watch. Lives on the store's loop; readers use
// its Memory from any thread.
//
// Invariants:
//  1. The copy is etcd's state at revision(): each event is applied once, in order, all of a revision together.
//  2. A watch that breaks goes on at revision() + 1. When etcd has compacted that away, the copy is loaded anew, and watches
//     of readers are told "gone".
#pragma once
#include <map>
#include <memory>
#include <string>
#include <unordered_map>

#include "store/etcd/client.h"
#include "store/memory/memory.h"

namespace estiba::store::etcd {

/// Keys below this (after the prefix) are the store's own notes; readers do not see them.
inline constexpr std::string_view own_keys = "/.estiba/";
inline constexpr std::string_view revision_key = "/.estiba/revision", compaction_key = "/.estiba/compaction",
                                  restoring_key = "/.estiba/restoring";

struct ReplicaOptions {
  std::string prefix;
  HistoryLimits history;
  Duration reconnect_delay;  ///< after the first failure; doubles up to two seconds
};

/// What a revision below an earlier one means.
std::unexpected<Error> went_back(Revision now, Revision before);

/// A write of this server that is under way: the event it leads to shares its bytes and what is attached.
struct Expected {
  SharedText value;
  std::shared_ptr<const Attachment> attachment;
  std::vector<Event> seen;  ///< events of its key since it began
};

class Replica {
 public:
  Replica(EtcdClient& client, ReplicaOptions options) : client_(client), options_(std::move(options)) {}

  /// Reads everything for the first time. Code::invalid when the prefix holds what is not Estiba's.
  Task<Result<void>> load();
  /// Follows etcd for ever.
  Task<void> follow();
  Revision revision() const { return history_->revision(); }
  const std::shared_ptr<Memory>& memory() const { return memory_; }
  const EntryPtr* find(std::string_view key) const { return history_->tree().find(key); }
  /// Waits until the copy has reached a revision: whether it did within `limit`.
  Task<bool> reach(Revision revision, Duration limit);
  /// Waits until the copy has what etcd had at a revision of anybody's. Code::timeout when it does not come.
  Task<Result<void>> catch_up(Revision revision);
  /// The error of a revision that is not reached.
  std::unexpected<Error> behind(Revision wanted) const;
  /// Gives the memory of what compact() forgot back.
  void forget_compacted() { publish({}); }

  /// Writes under way, by key (without the prefix); at most one a key.
  std::unordered_map<std::string_view, Expected*> writing;

 private:
  struct Loaded {
    std::vector<EntryPtr> entries;
    Revision revision = 0;
  };
  Task<Result<Loaded>> read_all();
  Task<Result<void>> reload();
  Task<Result<void>> follow_once();
  static Task<void> follow_into(Replica* self, std::optional<Result<void>>* out, estiba::Event* done);
  Task<Result<void>> check_revision();
  static Task<void> nudge(Replica* self);
  Result<void> apply(const WatchAnswer& answer);
  void append(const WatchEvent& event, std::vector<Event>& events);
  EntryPtr entry_of(const KeyValue& kv);
  void publish(const std::vector<Event>& events);
  std::string_view local(std::string_view key) const { return key.substr(options_.prefix.size()); }

  EtcdClient& client_;
  ReplicaOptions options_;
  std::optional<History> history_;
  std::shared_ptr<Memory> memory_;
  std::multimap<Revision, estiba::Event*> waiting_;
  bool compacted_ = false;  ///< events were lost: load anew
  bool nudging_ = false;
  Revision before_note_ = 0;         ///< the newest revision of an event before the last note
  Instant others_until_{};           ///< until then others are taken to write to this etcd
  estiba::Event* broken_ = nullptr;  ///< ends the watch that runs
  TaskGroup jobs_;                   // last: ends first
};

}  // namespace estiba::store::etcd
