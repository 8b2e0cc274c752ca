// The nftables table "ip estiba", and "ip6 estiba" where pods have IPv6 addresses. `nft list table ip estiba` shows it.
//
//   set/map     key → value                                 holds
//   services    address . protocol . port → goto chain      every front that has backends; address 0.0.0.0 or :: any of the node
//   backends    address . protocol . port . n → addr . port the n-th backend of each front
//   inside      address . protocol . port → goto chain      where pods and the node itself are led instead, by the chains pick_outside_…
//   fenced      address . protocol . port → goto chain      fronts that only some addresses may use
//   refused     address . protocol . port → reject or drop  fronts without backends
//   self        pod . pod                                   backends that may reach themselves
//   clients     client . address . protocol . port → addr . port   who keeps which backend, for how long: written by the rules themselves
//   kept        address . protocol . port . addr . port     backends that clients may go on to
//
// A packet for a service costs two look-ups, however many services there are: `services` names the chain that picks one
// of N at random ("pick_N", one for each N in use), which looks the backend up by its number. A change of a service is a
// few elements, in one transaction; connections that are established do not notice, not even when the table is replaced.
#pragma once
#include <set>
#include <string>

#include "network/nft_family.h"
#include "network/proxy/state.h"
#include "network/side.h"
#include "os/nft.h"

namespace estiba::network {

class ProxyTable {
 public:
  struct Config {
    std::string bridge;  ///< of the pods; empty: CNI plugins have links of their own, and masquerade as they are configured
    Side side;           ///< its pods are masqueraded towards the outside, but not towards pods of the cluster
  };
  static constexpr const char* name = "estiba";
  explicit ProxyTable(Config config) : config_(std::move(config)), f_(NftFamily::of(config_.side.v6())) {}

  /// The table as it should be, in place of what there is.
  os::nft::Transaction replace(const Change& whole);
  /// Only the difference. The table must be there.
  os::nft::Transaction update(const Change& change);
  static os::nft::Transaction remove(bool v6);
  /// Adds the clients of the table that is there to the one that replaces it, so that they keep their backends.
  void keep_clients(os::nft::Transaction& tx, os::netlink::Socket& socket) const;
  static Result<bool> exists(os::netlink::Socket& socket, bool v6);

 private:
  Prefix loopback() const;
  void put_hooks(os::nft::Transaction& tx) const;
  void put_service_rules(os::nft::Transaction& tx) const;
  void put_masquerade_rules(os::nft::Transaction& tx) const;
  void put_reject_rules(os::nft::Transaction& tx) const;
  void put_fence(os::nft::Transaction& tx, const std::string& chain, const std::vector<Prefix>& allowed) const;
  void put_sticky_pick(os::nft::Transaction& tx, const Pick& pick) const;
  void put_pick(os::nft::Transaction& tx, const Pick& pick) const;
  void put_inside(os::nft::Transaction& tx, const Pick& pick) const;
  void apply(os::nft::Transaction& tx, const Change& change);

  Config config_;
  NftFamily f_;
  std::set<Pick> chains_;  // in the table; they stay, there are few
};

}  // namespace estiba::network
