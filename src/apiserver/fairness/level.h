// One priority level: how many requests run at once, and how the others wait (k8s.io/apiserver, pkg/util/flowcontrol/fairqueuing).
// Any thread may enter and leave; who need not wait pays two atomic operations.
#pragma once
#include <atomic>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/task.h"

namespace estiba::apiserver {

struct LevelShape {
  bool exempt = false;       ///< nothing is counted and nothing waits
  int nominal = 0;           ///< seats of its own
  int lendable = 0;          ///< of them, what others may use while they are free
  int borrowing_limit = -1;  ///< how many more than its own it may use; -1: as many as others lend
  size_t queues = 0;         ///< 0: what finds no seat is refused at once
  size_t hand_size = 1;      ///< from how many queues a flow takes the shortest
  size_t queue_length = 0;
  bool operator==(const LevelShape&) const = default;
};

/// The indices of `hand` of `queues` queues, all different, that belong to a flow's hash (shuffle sharding): flows that share one queue
/// rarely share all. `hand` is at most `queues`.
std::vector<size_t> deal_hand(uint64_t hash, size_t queues, size_t hand);

class Level;

/// What all levels share: who waits anywhere, and what may be borrowed.
class Lending {
 public:
  /// The levels that lend to each other from now on; they have this, so it does not keep them.
  void set(const std::vector<std::shared_ptr<Level>>& levels);
  std::atomic<int> waiting = 0;  ///< over all levels

 private:
  friend class Level;
  bool borrow(Level& level);  // takes a seat beyond the level's own, if others leave one
  void dispatch_all();
  std::mutex mutex_;
  std::vector<std::weak_ptr<Level>> levels_;  // guarded by mutex_
};

/// A place among those that run; gives it back when it goes. Empty: there is none (yet, or ever).
class Seat {
 public:
  Seat() = default;
  explicit Seat(std::shared_ptr<Level> level) : level_(std::move(level)) {}
  Seat(Seat&& other) noexcept = default;
  Seat& operator=(Seat&& other) noexcept {
    leave();
    level_ = std::move(other.level_);
    return *this;
  }
  ~Seat() { leave(); }
  explicit operator bool() const { return level_ != nullptr; }

 private:
  void leave();
  std::shared_ptr<Level> level_;
};

class Level : public std::enable_shared_from_this<Level> {
 public:
  Level(std::string name, std::shared_ptr<Lending> lending) : name_(std::move(name)), lending_(std::move(lending)) {}

  void reshape(LevelShape shape);
  bool exempt() const { return exempt_.load(std::memory_order_relaxed); }
  /// A seat, if one is free and nobody waits for it.
  Seat try_enter();
  /// Waits in the shortest queue of the flow's hand. An empty seat: the queue was full, there are no queues, or `patience` has passed.
  Task<Seat> enter(uint64_t flow, Duration patience);

  const std::string& name() const { return name_; }
  int in_use() const { return in_use_.load(); }
  int waiting() const { return waiting_.load(); }

 private:
  friend class Seat;
  friend class Lending;
  enum class State : uint8_t { queued, seated, gone };
  struct Waiter {
    OneShot<bool>::Sender sender;
    State state = State::queued;
    size_t queue = 0;
  };
  using WaiterPtr = std::shared_ptr<Waiter>;
  bool take_own();
  void leave();
  void dispatch();
  WaiterPtr enqueue(uint64_t flow, OneShot<bool>::Sender sender);
  void give_up(const WaiterPtr& waiter);

  const std::string name_;
  const std::shared_ptr<Lending> lending_;
  std::atomic<bool> exempt_ = false;
  std::atomic<int> nominal_ = 0, lendable_ = 0, borrowing_limit_ = -1, in_use_ = 0, waiting_ = 0;
  std::mutex mutex_;
  LevelShape shape_;                          // guarded by mutex_
  std::vector<std::list<WaiterPtr>> queues_;  // guarded by mutex_
  size_t next_ = 0;                           // guarded by mutex_; the queue whose turn it is
};

}  // namespace estiba::apiserver
