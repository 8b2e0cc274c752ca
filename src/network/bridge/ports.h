// The host's ports that are published. Each is held by a socket that is bound and never used: so a port that another program has is
// noticed, and no program gets one that leads to a container.
#pragma once
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "base/fd.h"
#include "network/address.h"
#include "network/bridge/types.h"

namespace estiba::network::bridge {

class Ports {
 public:
  /// A free port of every one of `hosts` at once, among first … last, or of the ephemeral ones when first is 0; held from now on.
  /// "Bind for 0.0.0.0:8080 failed: port is already allocated" (conflict).
  Result<uint16_t> take(const std::vector<Address>& hosts, Protocol protocol, uint16_t first, uint16_t last);
  /// That one, as it was before a restart.
  Result<void> take_again(const Address& host, Protocol protocol, uint16_t port);
  void give_back(const Address& host, Protocol protocol, uint16_t port);

 private:
  using Key = std::tuple<Address, Protocol, uint16_t>;
  Result<void> hold(const std::vector<Address>& hosts, Protocol protocol, uint16_t port);
  bool is_held(const Address& host, Protocol protocol, uint16_t port) const;

  std::map<Key, Fd> held_;
  uint16_t next_ = 0;  // of the ephemeral ones
};

}  // namespace estiba::network::bridge
