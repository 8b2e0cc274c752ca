// The scheduler: finds a node for each pod that has none. Decisions are made one after another, in memory; bindings are
// written many at a time.
#pragma once
#include <memory>
#include <string>

#include "base/executor.h"
#include "client/client.h"
#include "scheduler/configuration.h"

namespace estiba::scheduler {

class Scheduler {
 public:
  /// `client` and `executor` must outlive this. Any thread.
  Scheduler(client::Client& client, Executor& executor, Configuration configuration = {});
  /// Stops everything. On the executor's thread, or after its loop has ended and before it is destroyed.
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  /// Starts, on the executor's thread.
  void start();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace estiba::scheduler
