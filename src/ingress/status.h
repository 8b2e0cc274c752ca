// Writes into the status of Ingresses of our class where they are served: the addresses of the nodes that take part. One server of a
// cluster does, the one that leads; what nodes serve does not wait for it.
#pragma once
#include <memory>

#include "client/client.h"

namespace estiba::ingress {

class StatusWriter {
 public:
  /// Any thread. `client` outlives it.
  explicit StatusWriter(client::Client& client);
  /// On the thread of start().
  ~StatusWriter();
  StatusWriter(const StatusWriter&) = delete;

  /// Begins to watch and write, on the current executor.
  void start();

 private:
  struct State;
  client::Client& client_;
  std::unique_ptr<State> state_;
};

}  // namespace estiba::ingress
