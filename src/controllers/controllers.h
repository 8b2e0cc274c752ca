// All controllers of a control plane, on one executor.
#pragma once
#include <memory>

#include "controllers/options.h"

namespace estiba::controllers {

class Controllers {
 public:
  /// `client` and `executor` must outlive this. Any thread.
  Controllers(client::Client& client, Executor& executor, Options options);
  /// Stops everything. On the executor's thread, or after its loop has ended and before it is destroyed.
  ~Controllers();
  Controllers(const Controllers&) = delete;
  Controllers& operator=(const Controllers&) = delete;

  /// Starts everything, on the executor's thread.
  void start();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace estiba::controllers
