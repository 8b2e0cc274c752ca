// The pods that wait for a place: ready ones by priority and age, and those that found none, which wait for the cluster to
// change. A pod tried in vain rests a moment (doubling from time to time) before it is tried again, whatever happens.
#pragma once
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "base/task.h"

namespace estiba::scheduler {

/// What a pod waits for beside room, which all wait for.
enum class Awaited : uint8_t {
  neighbours,  ///< pods that it wants to be near, or that make room for another one elsewhere
  volumes,     ///< claims, volumes, and what is known of storage
  devices,     ///< of claims
};

class Queue {
 public:
  /// The first and the longest rest.
  explicit Queue(Executor& executor, Duration first_rest = std::chrono::milliseconds(50), Duration longest_rest = std::chrono::seconds(10))
      : executor_(executor), first_rest_(first_rest), longest_rest_(longest_rest) {}
  ~Queue();
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  /// Adds a pod by its key. One that waits already keeps its place, but its rest ends: its spec has changed.
  void add(std::string_view key, int64_t priority);
  void remove(std::string_view key);
  bool contains(std::string_view key) const { return pods_.contains(std::string(key)); }
  /// The pod just popped found no place: it waits for wake_all, at most five minutes, or for `wake` of what it awaits.
  void put_back_unschedulable(std::string_view key, int64_t priority, std::initializer_list<std::pair<Awaited, bool>> awaits = {});
  /// The pod just popped could not be written: it is tried again after its rest.
  void put_back_failed(std::string_view key, int64_t priority);
  /// Something has changed for the better: all who wait are tried again as soon as they have rested.
  void wake_all();
  /// The same for those who await this.
  void wake(Awaited what);
  /// The same for one pod, if it waits.
  void wake(std::string_view key);

  /// The next pod's key; call only when not empty.
  std::string pop();
  bool empty() const { return ready_.empty(); }
  size_t size() const { return pods_.size(); }
  /// Set while there may be something to pop.
  Event& changed() { return changed_; }

 private:
  struct Pod {
    int64_t priority = 0;
    uint64_t order = 0;
    int attempts = 0;
    bool ready = false;
    bool in_hand = false;  // popped; kept for its attempts until it is put back or removed
    Instant rested{};
    Executor::Timer timer;
  };
  using Place = std::tuple<int64_t, uint64_t, std::string>;  // minus priority, order, key
  void end_rest(const std::string& key, Pod& pod);
  void wake_these(const std::unordered_set<std::string>& keys);
  void make_ready(const std::string& key, Pod& pod);
  void wake_at(const std::string& key, Pod& pod, Instant when);
  void stop_timer(Pod& pod);
  Pod& put_back(std::string_view key, int64_t priority);

  Executor& executor_;
  const Duration first_rest_, longest_rest_;
  std::unordered_map<std::string, Pod> pods_;
  std::set<Place> ready_;
  std::unordered_set<std::string> asleep_;       // found no place, and nobody has woken them since; some may be gone
  std::unordered_set<std::string> awaiting_[3];  // by Awaited; some may be gone or tried again meanwhile
  uint64_t next_order_ = 0;
  Event changed_;
};

}  // namespace estiba::scheduler
