// The DNS of containers: answers what comes to the sockets in their namespaces, on a thread of its own.
#pragma once
#include <memory>
#include <string>

#include "network/bridge/kernel.h"
#include "network/bridge/names.h"

namespace estiba::network::bridge {

class Resolver {
 public:
  /// `resolv_conf` names the servers to ask for other names, from the host's network.
  explicit Resolver(std::string resolv_conf);
  ~Resolver();
  Resolver(const Resolver&) = delete;

  // Any thread; what is said is done in its order.
  void serve(std::string container_id, NameSockets sockets);
  void set_container(std::string container_id, Asker asker);
  void forget(std::string container_id);
  /// Null: the network has gone.
  void set_network(std::string network_id, std::shared_ptr<const NetworkNames> names);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace estiba::network::bridge
