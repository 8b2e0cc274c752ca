// The embedded store: SQLite for durability, memory for everything else.
//
// One writer thread takes all writes that wait, compares, appends them in one transaction, publishes a new snapshot and
// answers. Readers take the newest snapshot without a lock. Nothing runs while nothing is written.
#pragma once
#include <memory>
#include <string>

#include "base/executor.h"
#include "base/function.h"
#include "store/memory/history.h"
#include "store/store.h"

namespace estiba::store {

struct EmbeddedOptions {
  std::string directory;  ///< made when missing; holds the files of docs/store-format.md
  HistoryLimits history;
  /// A value with more bytes gives Code::too_large.
  size_t value_bytes = 32 << 20;
  /// The clock that history.least_age is measured with; called on the writer's thread.
  UniqueFunction<Instant()> now = [] { return Instant(std::chrono::steady_clock::now()); };
};

/// What the writer has done since the start.
struct EmbeddedCounters {
  uint64_t writes = 0;   ///< durable ones
  uint64_t batches = 0;  ///< transactions, each one sync
};

class EmbeddedStore : public Store {
 public:
  virtual EmbeddedCounters counters() const = 0;
};

/// Opens or creates the store. Blocks until everything is in memory. Code::conflict when another process uses the
/// directory; Code::invalid and Code::internal for a file that is not a store or is damaged. Destroying the store lets
/// the writes that wait finish first; watches may outlive it and then stay silent.
Result<std::unique_ptr<EmbeddedStore>> open_embedded(EmbeddedOptions options);

}  // namespace estiba::store
