// Freshness: for a store that other servers write too. Its readers see a copy in memory, which may be behind what another
// server has answered already.
#pragma once
#include "base/result.h"
#include "base/task.h"

namespace estiba::store {

class Freshness {
 public:
  virtual ~Freshness() = default;
  /// Returns when readers see every write that any server had answered before this call (what etcd calls a linearizable
  /// read). Any executor. Code::unavailable and Code::timeout name what could not be reached.
  virtual Task<Result<void>> refresh() = 0;
};

}  // namespace estiba::store
