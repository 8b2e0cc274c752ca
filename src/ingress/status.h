// Writes the status of Ingresses, GatewayClasses, Gateways and HTTPRoutes of ours: the addresses of the nodes that take part, and what is
// served of what was asked for. One server of a cluster does, the one that leads; what nodes serve does not wait for it.
#pragma once
#include <memory>

#include "client/client.h"
#include "ingress/ingress_rules.h"

namespace estiba::ingress {

class StatusWriter {
 public:
  /// Any thread. `client` outlives it.
  StatusWriter(client::Client& client, IngressPorts ports);
  /// On the thread of start().
  ~StatusWriter();
  StatusWriter(const StatusWriter&) = delete;

  /// Begins to watch and write, on the current executor.
  void start();

 private:
  struct State;
  client::Client& client_;
  IngressPorts ports_;
  std::unique_ptr<State> state_;
};

}  // namespace estiba::ingress
