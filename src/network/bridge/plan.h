// From what a user asks of a network to what it will be: subnets, gateways, options. Pure, and in Docker's words where it refuses.
#pragma once
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "network/address.h"
#include "network/bridge/types.h"

namespace estiba::network::bridge {

/// One family's part of a network.
struct Side {
  Prefix subnet;
  Prefix range;  ///< where containers' addresses come from, unless they are fixed
  Address gateway;
  std::vector<Address> reserved;  ///< auxiliary addresses
};

struct Network {
  NetworkInfo info;  ///< containers are not kept here
  std::optional<Side> v4, v6;

  bool masquerade = true, icc = true;
  bool protect = true;  ///< containers' addresses cannot be reached from outside; false with gateway_mode nat-unprotected
  int mtu = 0;          ///< 0: that of the host's default route
  std::string host_ip;  ///< where ports are published that name no address; empty: everywhere
  std::string interface_prefix = "eth";

  bool is_bridge() const { return info.driver == "bridge"; }
  /// Containers have names there.
  bool has_names() const { return is_bridge() && !info.predefined(); }
};

/// A network as asked for. `networks` are those there are, `taken` prefixes that must not be chosen: the host's routes and others'.
Result<Network> plan_network(NetworkSpec spec, const std::vector<const Network*>& networks, const std::vector<Prefix>& taken);
/// The fields of Network that follow from info.options: for plan_network, and for a network that is read back.
Result<void> apply_options(Network& network);
/// A side from its IPAM entry, whose fields are all there.
Result<Side> parse_side(const Subnet& subnet);

bool overlaps(const Prefix& a, const Prefix& b);
/// `address` with the bits beyond the prefix's length cleared.
Prefix masked(Address address, int length);
/// "02:42:ac:11:00:02" to six bytes; "invalid MAC address: x".
Result<std::string> parse_mac(std::string_view text);
std::string mac_text(std::string_view mac);

/// Which addresses of a side are in use.
class Addresses {
 public:
  /// The lowest free one; exhausted when there is none.
  Result<Address> take(const Side& side);
  /// That one: "Address already in use", or "no configured subnet contains IP address …".
  Result<void> take(const Side& side, const Address& address);
  void give_back(const Address& address) { used_.erase(address); }
  void note(const Address& address) { used_.insert(address); }

 private:
  std::set<Address> used_;
};

}  // namespace estiba::network::bridge
