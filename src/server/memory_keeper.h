// MemoryKeeper: what a server holds only because it was busy once. Typed structs of objects that nobody has looked at since are let go
// (model::Object::lighter), which more than halves what an object takes; and what the allocator holds for later goes back to the kernel.
// free() returns only what lies at the end of the heap; what was a thousand watches, or ten thousand objects, lies in between. How much
// that is tells the allocator: what is resident does not grow by what is freed.
#pragma once
#include <memory>
#include <vector>

#include "base/executor.h"
#include "base/task.h"
#include "store/store.h"

namespace estiba::server {

/// When to do so: not while much is being written, and not again for what has been given back.
class MemoryBudget {
 public:
  static constexpr uint64_t burst = 1000;        ///< so many revisions from one look to the next are a burst
  static constexpr uint64_t slack = 4ull << 20;  ///< bytes; less is not worth it
  static constexpr int longest_patience = 64;    ///< looks: structs that are needed again at once are let go less and less often
  static constexpr int64_t few = 500;            ///< structs; likewise

  struct Seen {
    store::Revision revision = 0;
    uint64_t renewals = 0;  ///< of Leases since the last look: they come for ever, and are no burst
    uint64_t free = 0;      ///< bytes of the heap
    int64_t decoded = 0;    ///< typed structs of objects
  };
  struct Due {
    bool shed = false;  ///< typed structs should be let go
    bool trim = false;  ///< memory should be given back now; settle() then says what is free afterwards, whose pages the kernel has
  };
  Due look(const Seen& seen);
  void settle(uint64_t free) { settled_ = free; }
  /// How many structs were left, or are there again, when others had been let go.
  void settle_decoded(int64_t decoded) { left_ = decoded; }

 private:
  bool may_shed();

  uint64_t settled_ = 0;
  int64_t left_ = 0;
  int patience_ = 1;  // looks from one time that structs are let go to the next
  int looks_since_shed_ = 2 * longest_patience + 1;
  store::Revision last_ = 0;
};

/// Looks when a node's Lease is renewed, at most once in ten seconds and for a thousandth of the time: an idle server has no timer for
/// this. Belongs to the executor that makes it.
class MemoryKeeper {
 public:
  explicit MemoryKeeper(store::Store& store);
  ~MemoryKeeper();

 private:
  void wait();
  void renewed();
  void look();
  void trim();
  Task<void> shed();
  Task<void> shed_history();

  store::Store& store_;
  Executor& executor_;
  std::unique_ptr<store::Watch> leases_;
  std::shared_ptr<MemoryKeeper*> self_;  // null when this is gone
  std::vector<store::Event> seen_;
  uint64_t renewals_ = 0;  // since the last look
  MemoryBudget budget_;
  Instant next_look_{};
  Job shedding_;
};

}  // namespace estiba::server
