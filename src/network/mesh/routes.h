// The ways to the pods of the other nodes, in the kernel. All calls block; they belong on one Worker.
//
// A node whose address is on a link of this machine gets a plain route: its pods by way of that address. To one behind a router packets go
// by the VXLAN device, since no router knows pods' addresses: the node's whole part of the pods' range has one next hop there, the part's
// first address. The device's Ethernet address is made of the first address of the first part as pods' are (mac_of). So all that a tunnel
// needs follows from Node objects. With parts of both families both go by one device, between the nodes' primary addresses; a part also
// goes by it when the node has no address of its family.
//
// Routes of ours have a protocol number of their own, by which a restart finds and mends them.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "network/side.h"
#include "os/rtnl.h"

namespace estiba::network::mesh {

/// Another node.
struct Peer {
  std::string name;
  std::vector<Address> addresses;  ///< one, or one of each family, the primary first
  std::vector<Prefix> pods;        ///< likewise
  bool operator==(const Peer&) const = default;
};

/// How a machine is reached: by which link, and whether a router stands between.
struct Way {
  int index = 0;
  bool routed = false;
};
/// As the routing table says; nullopt without a route. `skip` are links that lead to pods. Of several routes of one length the one with
/// the lowest metric counts.
std::optional<Way> way_to(const std::vector<os::rtnl::Route>& routes, const Address& address, const std::vector<int>& skip);

class Routes {
 public:
  struct Config {
    std::vector<Side> sides;  ///< the node's own
    std::string bridge, device = "estiba-vxlan";
    uint32_t vni = 3671;   ///< of all clusters of Estiba; nodes of other clusters have no entries
    uint16_t port = 4789;  ///< VXLAN's own (IANA)
    uint8_t protocol = 207;
  };
  explicit Routes(Config config) : config_(std::move(config)) {}

  /// Before all else; the number under which the kernel tells of what is changed here.
  Result<uint32_t> open();
  /// Makes the kernel so that exactly these are reached. What is right already stays untouched.
  Result<void> apply(const std::vector<Peer>& peers);
  Result<void> remove_all() { return apply({}); }

 private:
  struct Hop {
    std::string mac;
    Address node;
    bool operator==(const Hop&) const = default;
  };
  using Tunnels = std::map<Address, Hop>;  // a part's first address → its node
  struct Machine;
  void add_ways(const Peer& peer, const Machine& machine, std::vector<os::rtnl::Route>& wanted, Tunnels& tunnels, int& mtu) const;
  Result<int> make_device(int mtu, bool over_v6);
  Result<void> put_tunnels(int index, const Tunnels& wanted);
  Result<void> put_routes(const std::vector<os::rtnl::Route>& there, const std::vector<os::rtnl::Route>& wanted);

  const Config config_;
  os::netlink::Socket socket_;
  int device_ = 0;  // index; the entries below are of this one
  Tunnels tunnels_;
};

}  // namespace estiba::network::mesh
