// The cluster's DNS: UDP and TCP port 53 on the service addresses, answered on a thread of its own from what the node tells.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "base/task.h"
#include "network/dns/zone.h"

namespace estiba::network::dns {

class Server {
 public:
  struct Config {
    std::vector<Address> addresses;  ///< one, or one of each family
    uint16_t port = 53;
    Zone::Config zone;
    std::string resolv_conf;  ///< whose name servers are asked for other names
  };
  explicit Server(Config config);
  /// Stops answering.
  ~Server();
  Server(const Server&) = delete;

  /// Begins to answer; the error names the address when the port is taken. Call it when the names are set: a name that is
  /// not there yet would be denied.
  Task<Result<void>> start();
  /// Any thread. Null removes the service.
  void set(std::string key, std::shared_ptr<const ServiceNames> names);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace estiba::network::dns
