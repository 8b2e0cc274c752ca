// Pods' networks in the kernel: the node's bridge, and per pod a namespace with a veth pair. All calls block; they belong
// on one Worker.
//
// A pod's address is a /32 (or a /128) with the bridge as its gateway for everything. So all its packets pass the node's network
// layer, also those to its neighbours on the bridge: the answers of a service's endpoint come back the way on which the
// address is translated, whether or not the kernel has br_netfilter.
//
// IPv6 addresses need no neighbour discovery: both sides of a pair know the other's Ethernet address, for ever, and no link of ours has a
// link-local address. So no router of ours can redirect, and no pod can pass for another.
//
// A slot is one address, or one of each family, with its namespace (<run_dir>/netns/<primary ip>), its pair (veth_name() on the node, eth0
// within), all set up. Slots are made ahead of need, because the kernel takes milliseconds for them; a pod gets a slot by the stroke of
// a pen in its record (ipam.h). A slot is never used twice. A pod with a user namespace gets a slot made for it: a network
// namespace belongs to one user namespace from its beginning. That one is bound at <run_dir>/userns/<primary ip>, and goes with the slot.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "network/ipam.h"
#include "network/pod_links.h"
#include "network/side.h"
#include "os/rtnl.h"

namespace estiba::network {

class PodNetwork final : public PodLinks {
 public:
  struct Config {
    std::string run_dir, bridge;
    std::vector<Side> sides;  ///< the primary family first; their DNS addresses live on the bridge
    size_t pool = 4;
    bool pods = true;  ///< false: CNI plugins make the pods' networks; the bridge has the DNS's addresses and the way to services alone
  };
  explicit PodNetwork(Config config);

  /// Makes the bridge, its addresses, the route to the services and the sysctls; adopts the slots that are whole and
  /// clears away the rest.
  Result<void> start() override;
  /// The pod's slot, or one from the pool, or a new one.
  Result<PodNet> attach(const PodRequest& pod) override;
  /// Only notes it: sweep() removes what was detached, all at once.
  Result<void> detach(const std::string& uid) override;
  /// False when there was nothing to remove.
  Result<bool> sweep() override;
  /// Makes one slot for the pool if it wants one; false when it is full.
  Result<bool> refill() override;
  Result<void> drop_pool();
  /// What another program has taken away is made again, with the same addresses: the bridge, pods' pairs, their way to the bridge.
  struct Mended {
    bool bridge = false;
    std::vector<std::string> pods;  ///< "ns/name", whose pairs were not as they should be
  };
  /// One pod whose namespace is gone is an error only after the others have been looked after.
  Result<Mended> mend();
  /// Whether a message of RTNLGRP_LINK by another than us says that there is something to mend.
  bool concerns(const os::netlink::Message& message, uint32_t port) const;
  /// Slots, bridge and files. IP forwarding stays on: others may have come to rely on it.
  Result<void> remove_all() override;

  std::vector<PodRequest> pods() const override;
  std::optional<PodNet> find(std::string_view uid) const override;
  size_t pooled() const;

 private:
  Result<void> make_bridge();
  Result<void> put_side(os::rtnl::Batch& batch, const Side& side);
  Result<void> prepare_v6();
  /// The ways to a pod on the bridge that are not found by asking.
  void put_neighbours(os::rtnl::Batch& batch, const Address& primary) const;
  Result<void> adopt();
  /// `owner`: whose user namespace it is to belong to; null: the host's.
  Result<Address> make_slot(const PodRequest* owner = nullptr);
  Result<void> build_slot(const Address& address, const PodRequest* owner);
  Result<void> build_pair(const Address& address, const Bandwidth& bandwidth);
  Result<bool> mend_pair(const Address& address, const Record& record, const os::rtnl::Link* port);
  Result<void> remove_slots(const std::vector<Address>& addresses);
  Result<void> remove_strays();
  PodNet describe(const Address& address) const;
  std::string netns_path(const Address& address) const;
  std::string userns_path(const Address& address) const;
  std::optional<Address> address_of(std::string_view uid) const;

  Config config_;
  Ipam ipam_;
  os::netlink::Socket socket_;
  int bridge_index_ = 0;
  int mtu_ = 1500;
};

/// What an Ethernet address of ours is made of: 0a:58 and the primary address, so that a neighbour's entry for an address is
/// right for its next owner too. Of an IPv6 address the four words are laid over each other: what differs in one range stands in one word,
/// or in two at different bits.
std::string mac_of(const Address& address);
std::string mac_text(std::string_view mac);
/// The node's side of the pair, by the primary address: "ev0a2a0005", or "ev6" and the last word of an IPv6 address.
std::string veth_name(const Address& address);
/// What the names of a range's pairs begin with.
std::string veth_prefix(const Prefix& pods);

}  // namespace estiba::network
