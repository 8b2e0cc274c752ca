// Containers' networks in the kernel: bridges, namespaces and veth pairs. All calls block; they belong on one Worker.
//
// A slot is a namespace (<run_dir>/docker/netns/<12 hex>) with lo up, sockets for the names at 127.0.0.11 and, unless it is bare, one veth
// pair whose inner end is eth0. Slots are made ahead of need, because the kernel takes milliseconds for them: a container's start only
// joins one to a bridge and gives it addresses. A slot is never used twice.
#pragma once
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "network/bridge/plan.h"
#include "os/rtnl.h"

namespace estiba::network::bridge {

/// Sockets within a container's namespace that what it sends to 127.0.0.11 port 53 comes to.
struct NameSockets {
  Fd udp, tcp;
};

/// How one interface of a container is to be.
struct Wire {
  std::string bridge, veth, interface_name;
  std::string mac;  ///< six bytes
  std::optional<Address> v4, v6;
  int v4_length = 0, v6_length = 0;
  int mtu = 0;            ///< 0: the host's
  bool isolated = false;  ///< from the bridge's other containers
  Address gateway;        ///< the bridge's IPv4 address and link address, so that nobody need ask
  std::string gateway_mac;
};
/// By which interface and gateway the rest of the world is reached; nullopt: by none.
struct DefaultRoute {
  struct Way {
    std::string interface_name;
    Address gateway;
  };
  std::optional<Way> v4, v6;
};

class Kernel {
 public:
  struct Config {
    std::string run_dir;
    unsigned pool = 4;
  };
  explicit Kernel(Config config) : config_(std::move(config)) {}

  Result<void> start();
  /// The subnets that the host has routes to.
  Result<std::vector<Prefix>> host_routes();

  /// Makes or adopts the network's bridge. conflict when a link of that name is somebody else's.
  Result<void> put_bridge(const Network& network);
  Result<void> remove_bridge(const std::string& link);

  struct Slot {
    std::string id;    ///< 64 hex digits
    std::string veth;  ///< the node's end; empty: bare
    int veth_index = 0, eth0_index = 0;
    os::netlink::Socket inside;
    /// What it has committed with. Closed right away it would wait for the kernel's grace period (nft_rcv_nl_event() in
    /// net/netfilter/nf_tables_api.c); once the slot is taken that has passed.
    os::netlink::Socket filter;
    NameSockets names;
  };
  /// From the pool, or a new one.
  Result<Slot> take(bool bare);
  /// Makes one for the pool if it wants one; false when it is full.
  Result<bool> refill();
  void drop_pool();

  /// Joins the slot's own pair to a bridge.
  Result<void> wire(Slot& slot, const Wire& wire);
  /// Another pair for a namespace.
  Result<void> add_wire(const std::string& id, const Wire& wire);
  Result<void> set_default_route(const std::string& id, const DefaultRoute& route);
  Result<void> set_default_route(Slot& slot, const DefaultRoute& route);
  Result<void> remove_wires(const std::vector<std::string>& veths);

  /// Sockets for a namespace that outlived the process which had them.
  Result<NameSockets> open_names(const std::string& id);
  /// Namespaces and the pairs that lead to them, all at once. What is gone already is fine.
  Result<void> remove(const std::vector<std::string>& ids, const std::vector<std::string>& veths);
  /// Removes namespaces and pairs on `bridges` that are not among these.
  Result<void> remove_strays(const std::vector<std::string>& ids, const std::vector<std::string>& veths,
                             const std::vector<std::string>& bridges);
  bool is_whole(const std::string& id) const;

  std::string netns_path(const std::string& id) const { return config_.run_dir + "/docker/netns/" + id.substr(0, 12); }
  static std::string new_veth_name();

 private:
  Result<Slot> make_slot(bool bare);
  Result<void> build(Slot& slot);
  Result<int> bridge_index(const std::string& link);
  Result<void> join(int veth_index, const Wire& wire);
  Result<void> configure(os::netlink::Socket& inside, int index, const Wire& wire);
  std::string owner() const { return ("estiba-docker " + config_.run_dir).substr(0, 255); }

  Config config_;
  os::netlink::Socket socket_;
  int mtu_ = 1500;
  std::deque<Slot> ready_, bare_;
};

/// A bridge's own link address, made of its network's gateway.
std::string bridge_mac(const Network& network);

}  // namespace estiba::network::bridge
