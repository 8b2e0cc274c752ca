// Ingress and Gateway API on a node: watches the objects and serves what they say (docs/network.md).
//
//   Ingress ingress({.http_port = 80}, client, loop);
//   ingress.start();
//   co_await ingress.stop();
//
// Every call is made on the loop's thread. As long as no object is of our class there are two watches and nothing else: no port, no
// thread, no copy of other objects.
#pragma once
#include <memory>

#include "base/executor.h"
#include "client/client.h"
#include "ingress/listeners.h"

namespace estiba::ingress {

/// The label of Nodes that serve Ingresses and Gateways: their addresses are the ones that clients are told.
inline constexpr std::string_view serving_label = "estiba.dev/ingress";

struct Options {
  uint16_t http_port = 80, https_port = 443;  ///< of Ingresses; 0: not served
  ListenerOptions listeners;
  bool all_secrets = true;  ///< false: the client may read the Secrets that Ingresses and Gateways name, and no others
};

class Ingress {
 public:
  /// `client` and `loop` outlive it.
  Ingress(Options options, client::Client& client);
  /// After stop().
  ~Ingress();
  Ingress(const Ingress&) = delete;

  void start();
  Task<void> stop();
  /// For tests: how many ports are open now.
  size_t open_ports() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace estiba::ingress
