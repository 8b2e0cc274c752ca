// The whole of `estiba server`, wired together: store, API server, controllers, scheduler and, unless --node=false, a node.
#pragma once
#include <memory>

#include "base/task.h"
#include "io/loop.h"
#include "server/options.h"

namespace estiba::server {

class Server {
 public:
  explicit Server(Options options);
  ~Server();
  Server(const Server&) = delete;

  /// Starts everything; returns when the API answers and the node is registered. On `main`, whose loop is running.
  Task<Result<void>> start();
  /// Stops cleanly and leaves containers running. What was started is stopped even when start() failed half way.
  Task<void> stop();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace estiba::server
