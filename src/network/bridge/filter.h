// The nftables tables "ip estiba_docker" and "ip6 estiba_docker": published ports, masquerading, and who may reach whom.
// `nft list table ip estiba_docker` shows it.
//
//   map     key → value                                  holds
//   ports   address . protocol . port → address . port   every published port; address 0.0.0.0 or :: means any of the host's
//
// A published port is led to its container in prerouting and, for the host's own processes, in output; so no process of ours touches the
// bytes. Containers' own addresses are closed to the outside before any translation ("raw"), so a port answers only where its user said.
// A change of ports is a few elements; a change of networks replaces the tables in one transaction, which established connections do not
// notice. Nobody else's table is touched; neither can an `accept` of ours overrule another table's `drop`.
#pragma once
#include <string>
#include <vector>

#include "network/address.h"
#include "network/pod_net.h"
#include "os/nft.h"

namespace estiba::network::bridge {

class Filter {
 public:
  struct Bridge {
    std::string link;
    std::vector<Prefix> subnets;  ///< at most one of each family
    bool internal = false, masquerade = true, icc = true, protect = true;
  };
  struct Port {
    Protocol protocol = Protocol::tcp;
    Address host;  ///< all zero: any
    uint16_t host_port = 0;
    Address target;  ///< of the same family
    uint16_t target_port = 0;
    bool operator==(const Port&) const = default;
  };

  /// The tables as they should be, in place of what there is.
  static Result<void> replace(os::netlink::Socket& socket, const std::vector<Bridge>& bridges, const std::vector<Port>& ports);
  /// The tables must be there.
  static Result<void> publish(os::netlink::Socket& socket, const std::vector<Port>& ports);
  /// Without those that are gone already it is one transaction; otherwise each by itself.
  static Result<void> withdraw(os::netlink::Socket& socket, const std::vector<Port>& ports);
  static Result<void> remove(os::netlink::Socket& socket);
  /// Whether the tables are there with all of `ports`: another tool may have flushed them.
  static Result<bool> intact(os::netlink::Socket& socket, const std::vector<Port>& ports);
};

}  // namespace estiba::network::bridge
