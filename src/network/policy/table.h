// The nftables tables "ip estiba_policy" and "bridge estiba_ports", and "ip6 estiba_policy" where pods have IPv6 addresses. `nft list table
// ip estiba_policy` shows the one.
//
// Every packet of a pod passes the node's network layer, also that to its neighbour on the bridge (pod_network.h), so the forward hook of
// the families ip and ip6 sees all there is between pods and between pods and the outside, after services' addresses have become pods'
// addresses and before any source is masqueraded.
//
//   set/map     key → value                  holds
//   egress      address → goto profile       pods of this node that are isolated towards others
//   ingress     address → goto profile       pods of this node that are isolated from others
//   self        address . address            isolated pods, which may reach themselves
//   peers_N     address                      pods that some rule means
//   ports_N     address . protocol . port    ports of pods that have one name
//   denied      Denied                       what was dropped in the last ten minutes, with counters
//
// A packet of a pod that is not isolated costs three look-ups. What the node itself sends and receives does not pass, as Kubernetes has it
// (probes), with one exception: the cluster's DNS answers at the node, but is no part of it. Only replies are let through unseen, so a
// policy that changes holds for connections that there are already.
//
// The bridge's table is what the other stands on: a pod's frames come with its own addresses and go to the node, else they are dropped.
// Otherwise a process that may make raw sockets, which containers are given by default, could send its neighbour a frame past the node, or
// in another's name. An address may send from the instant when it is a pod's.
#pragma once
#include <map>
#include <set>
#include <string>
#include <vector>

#include "network/nft_family.h"
#include "network/policy/state.h"
#include "network/side.h"
#include "os/nft.h"

namespace estiba::network::policy {

/// Packets that were dropped, as the set `denied` counts them.
struct Denied {
  Address source, destination;
  uint8_t protocol = 0;
  uint16_t port = 0;  ///< of ICMP: 0
  Direction direction = Direction::ingress;
  uint64_t packets = 0, bytes = 0;
  uint64_t ago_ms = 0;  ///< since the last one
};

class PolicyTable {
 public:
  static constexpr const char* name = "estiba_policy";
  explicit PolicyTable(const Side& side) : dns_(side.dns), f_(NftFamily::of(side.v6())) {}

  /// The table as it should be, in place of what there is.
  os::nft::Transaction replace(const PolicyChange& whole) const;
  /// Only the difference. The table must be there.
  os::nft::Transaction update(const PolicyChange& change) const;
  static os::nft::Transaction remove(bool v6);
  static Result<bool> exists(os::netlink::Socket& socket, bool v6);
  /// What the policies have dropped, of both families; empty without tables.
  static Result<std::vector<Denied>> denied(os::netlink::Socket& socket);

 private:
  void put_hooks(os::nft::Transaction& tx) const;
  void apply(os::nft::Transaction& tx, const PolicyChange& change) const;

  std::optional<Address> dns_;
  NftFamily f_;
};

/// What pods may put on the bridge.
class PortTable {
 public:
  static constexpr const char* name = "estiba_ports";
  /// The addresses of one pod, that of the primary family first.
  using Sender = std::vector<Address>;
  explicit PortTable(const std::vector<Side>& sides) : sides_(sides) {}

  os::nft::Transaction replace(const std::set<Sender>& pods) const;
  static os::nft::Transaction add(const Sender& pod);
  static os::nft::Transaction drop(const Sender& pod);
  static os::nft::Transaction remove();
  static Result<bool> exists(os::netlink::Socket& socket);

 private:
  std::vector<Side> sides_;
};

}  // namespace estiba::network::policy
