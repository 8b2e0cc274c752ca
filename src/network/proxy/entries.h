// What a Service wants of the packet filter, as a pure function of the Service and its EndpointSlices.
// Source: kubernetes.io/docs/reference/networking/virtual-ips.
#pragma once
#include <compare>
#include <cstdint>
#include <string>
#include <vector>

#include "model/types/core_v1.h"
#include "model/types/discovery_v1.h"
#include "network/address.h"
#include "network/pod_net.h"

namespace estiba::network {

/// Where clients send to. The address 0.0.0.0 or :: means every address of the node of that family (a node port). Protocol and port 0: what
/// is left of an address that belongs to one service alone.
struct Front {
  Address address;
  Protocol protocol = Protocol::tcp;
  uint16_t port = 0;
  auto operator<=>(const Front&) const = default;
};
struct Backend {
  Address address;
  uint16_t port = 0;
  auto operator<=>(const Backend&) const = default;
};
struct Entry {
  Front front;
  bool masquerade = false;        ///< backends see the node, so that their answers come back by it
  uint32_t affinity = 0;          ///< seconds since its last connection for which a client keeps its backend; 0: it does not
  std::vector<Backend> backends;  ///< sorted; none: connections are rejected
  /// Where pods and the node itself are led instead, whom a policy of the traffic from outside does not mean; empty: to the same.
  std::vector<Backend> inside = {};
  bool drops = false;                ///< without backends connections get no answer: other nodes have some
  std::vector<Prefix> sources = {};  ///< who may come; empty: everybody
  bool operator==(const Entry&) const = default;
};

/// Where the clients are: the node, and its label topology.kubernetes.io/zone, which may be empty.
struct Place {
  std::string_view node, zone;
};
/// Of both families, where the Service has cluster addresses of both. `slices` are the Service's own. Headless and ExternalName services
/// want nothing. Endpoints with hints for other places are left out as long as every one has hints and some are for this place.
std::vector<Entry> entries_of(const model::core_v1::Service& service, const std::vector<const model::discovery_v1::EndpointSlice*>& slices,
                              const Place& place);
/// Of the hostPorts of a pod with these addresses.
std::vector<Entry> entries_of(const std::vector<HostPort>& ports, const std::vector<Address>& pod);

/// The addresses of a Service of type LoadBalancer that are of the cluster's pool, so that the nodes announce them and answer for all of
/// their ports.
std::vector<Address> pool_addresses_of(const model::core_v1::Service& service);

Protocol parse_protocol(std::string_view text);

}  // namespace estiba::network
