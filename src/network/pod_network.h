// Pods' networks in the kernel: the node's bridge, and per pod a namespace with a veth pair. All calls block; they belong
// on one Worker.
//
// A pod's address is a /32 with the bridge as its gateway for everything. So all its packets pass the node's network
// layer, also those to its neighbours on the bridge: the answers of a service's endpoint come back the way on which the
// address is translated, whether or not the kernel has br_netfilter.
//
// A slot is one address with its namespace (<run_dir>/netns/<ip>), its pair (ev<ip in hex> on the node, eth0 within), all
// set up. Slots are made ahead of need, because the kernel takes milliseconds for them; a pod gets a slot by the stroke of
// a pen in its record (ipam.h). A slot is never used twice. A pod with a user namespace gets a slot made for it: a network
// namespace belongs to one user namespace from its beginning. That one is bound at <run_dir>/userns/<ip>, and goes with the slot.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "network/ipam.h"
#include "os/rtnl.h"

namespace estiba::network {

class PodNetwork {
 public:
  struct Config {
    std::string run_dir, bridge;
    Prefix pod_cidr, service_cidr;
    Address dns;  ///< lives on the bridge
    size_t pool = 4;
  };
  explicit PodNetwork(Config config);

  /// Makes the bridge, its addresses, the route to the services and the sysctls; adopts the slots that are whole and
  /// clears away the rest.
  Result<void> start();
  /// The pod's slot, or one from the pool, or a new one.
  Result<PodNet> attach(const PodRequest& pod);
  /// Only notes it: sweep() removes what was detached, all at once.
  Result<void> detach(const std::string& uid);
  /// False when there was nothing to remove.
  Result<bool> sweep();
  /// Makes one slot for the pool if it wants one; false when it is full.
  Result<bool> refill();
  Result<void> drop_pool();
  /// Slots, bridge and files. IP forwarding stays on: others may have come to rely on it.
  Result<void> remove_all();

  std::vector<PodRequest> pods() const;
  std::optional<PodNet> find(std::string_view uid) const;
  size_t pooled() const;

 private:
  Result<void> make_bridge();
  Result<void> adopt();
  /// `owner`: whose user namespace it is to belong to; null: the host's.
  Result<Address> make_slot(const PodRequest* owner = nullptr);
  Result<void> build_slot(const Address& address, const PodRequest* owner);
  Result<Fd> make_user_namespace(const Address& address, const PodRequest& owner);
  Result<void> remove_slots(const std::vector<Address>& addresses);
  Result<void> remove_strays();
  PodNet describe(const Address& address) const;
  std::string netns_path(const Address& address) const;
  std::string userns_path(const Address& address) const;
  std::optional<Address> address_of(std::string_view uid) const;

  Config config_;
  Ipam ipam_;
  os::netlink::Socket socket_;
  Address gateway_;
  int bridge_index_ = 0;
  int mtu_ = 1500;
};

/// What an Ethernet address of ours is made of: 0a:58 and the IPv4 address, so that a neighbour's entry for an address is
/// right for its next owner too.
std::string mac_of(const Address& address);
std::string mac_text(std::string_view mac);
/// The node's side of the pair: "ev0a2a0005".
std::string veth_name(const Address& address);

}  // namespace estiba::network
