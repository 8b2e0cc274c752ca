// What the packet filter holds and what it should hold: sets of elements, and the difference since it was last written.
#pragma once
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "network/proxy/entries.h"

namespace estiba::network {

/// How a front chooses among its backends; each distinct one is a chain of the table.
struct Pick {
  uint32_t count = 0;
  bool any_address = false, masquerade = false;
  uint32_t affinity = 0;  ///< seconds
  enum class Part : uint8_t { all, outside, inside };
  Part part = Part::all;  ///< outside: pods and the node itself are looked up among those of Part::inside first
  auto operator<=>(const Pick&) const = default;
  /// "pick_3", "pick_any_masq_sticky_10800_2"
  std::string chain() const;
};

/// A map that remembers what its values were when changes() was last taken. Until that is done for the first time nothing is remembered: a
/// node that starts takes in everything before it writes anything.
template <class K, class V>
class Tracked {
 public:
  struct Changes {
    std::vector<std::pair<K, V>> removed, added;  ///< a changed value is in both
    bool empty() const { return removed.empty() && added.empty(); }
  };
  void set(const K& key, const V& value) {
    note(key);
    now_[key] = value;
  }
  void erase(const K& key) {
    note(key);
    now_.erase(key);
  }
  Changes take() {
    if (!taken_) return take_whole();
    Changes changes;
    for (const auto& [key, before] : before_) {
      auto now = now_.find(key);
      if (now != now_.end() && before && *before == now->second) continue;
      if (before) changes.removed.push_back({key, *before});
      if (now != now_.end()) changes.added.push_back(*now);
    }
    before_.clear();
    return changes;
  }
  /// Everything, as an empty map's change; forgets what has changed.
  Changes take_whole() {
    taken_ = true;
    before_.clear();
    return {{}, {now_.begin(), now_.end()}};
  }
  const std::map<K, V>& now() const { return now_; }

 private:
  void note(const K& key) {
    if (!taken_) return;
    auto now = now_.find(key);
    before_.try_emplace(key, now == now_.end() ? std::nullopt : std::optional<V>(now->second));
  }
  std::map<K, V> now_;
  std::map<K, std::optional<V>> before_;
  bool taken_ = false;
};

using Slot = std::pair<Front, uint32_t>;  // a front's n-th backend
/// The first number of a front's backends for pods and the node itself.
inline constexpr uint32_t first_inside = 1 << 16;
using Lead = std::pair<Front, Backend>;
struct Nothing {
  bool operator==(const Nothing&) const = default;
};

struct Change {
  Tracked<Front, Pick>::Changes picks;
  Tracked<Slot, Backend>::Changes backends;
  Tracked<Front, Pick>::Changes inside;
  Tracked<Front, bool>::Changes refused;                       ///< fronts without backends; true: without an answer
  Tracked<Front, std::string>::Changes fences;                 ///< fronts that not everybody may use → chain
  Tracked<std::string, std::vector<Prefix>>::Changes allowed;  ///< those chains: who may
  Tracked<Lead, Nothing>::Changes kept;                        ///< where clients that keep their backend may go on to
  Tracked<Address, Nothing>::Changes pods;                     ///< backends in the pod network, which may reach themselves
  bool empty() const {
    return picks.empty() && inside.empty() && backends.empty() && refused.empty() && fences.empty() && allowed.empty() && kept.empty() &&
           pods.empty();
  }
};

/// Of one family.
class ProxyState {
 public:
  /// Backends within `pods` may be reached by themselves.
  explicit ProxyState(Prefix pods) : pods_(pods) {}

  /// Replaces what `owner` ("ns/name" of a service, "pod/<uid>") wants; nothing removes it. A front that another owner has
  /// is left to that one until it goes.
  void set(const std::string& owner, std::vector<Entry> entries);

  /// What has changed since the last call.
  Change take_change();
  /// Everything, to write an empty table; forgets what has changed.
  Change take_whole();
  const std::map<Slot, Backend>& backends() const { return backends_.now(); }

 private:
  void drop(const std::string& owner);
  void claim(const std::string& owner, const Entry& entry);
  void use_backend(const Backend& backend, int by);
  void put_backends(const Entry& entry, const std::vector<Backend>& backends, uint32_t first);
  void drop_backends(const Entry& entry, const std::vector<Backend>& backends, uint32_t first);
  void fence(const Entry& entry);
  void unfence(const Entry& entry);

  Prefix pods_;
  std::map<std::string, std::vector<Entry>> wants_;
  std::map<Front, std::string> holders_;
  std::set<std::string> waiting_;  // owners that want a front of another
  std::map<Address, int> uses_;    // backends in the pod network, counted
  std::map<Lead, int> keeps_;      // a backend may be one for both
  struct Fence {
    std::string chain;
    int uses = 0;
  };
  std::map<std::vector<Prefix>, Fence> fence_chains_;
  uint32_t next_fence_ = 0;
  Tracked<Front, Pick> picks_, inside_;
  Tracked<Slot, Backend> backends_;
  Tracked<Front, bool> refused_;
  Tracked<Front, std::string> fences_;
  Tracked<std::string, std::vector<Prefix>> allowed_;
  Tracked<Lead, Nothing> kept_;
  Tracked<Address, Nothing> self_;
};

}  // namespace estiba::network
