// What is asked of and told about containers' networks. Values only. Names and fields are those of the Docker Engine API
// (shared/reference/docker/engine-api-1.50.yaml: Network, IPAM, EndpointSettings, PortBinding).
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/executor.h"
#include "network/pod_net.h"

namespace estiba::network::bridge {

using Texts = std::map<std::string, std::string>;

/// One subnet of a network ("IPAM.Config"); empty fields are chosen.
struct Subnet {
  std::string subnet, range, gateway;
  Texts auxiliary;  ///< name → address that no container gets
};

struct NetworkSpec {
  std::string name;
  std::string driver = "bridge";  ///< bridge; host and null are those of the predefined networks
  bool internal = false, attachable = false;
  bool enable_ipv4 = true, enable_ipv6 = false;
  std::string ipam_driver = "default";
  Texts ipam_options;
  std::vector<Subnet> subnets;
  Texts options, labels;
};

/// A container's place in a network, as GET /networks/{id} shows it.
struct AttachedContainer {
  std::string container_id, container_name, endpoint_id, mac, ipv4, ipv6;  ///< addresses with their length, "172.18.0.2/16"
};

struct NetworkInfo : NetworkSpec {
  std::string id;  ///< 64 hex digits
  WallTime created{};
  std::string link;         ///< the bridge's name in the kernel; empty without one
  bool own_subnet = false;  ///< the user named the subnet, so that fixed addresses make sense
  std::vector<AttachedContainer> containers;

  bool predefined() const { return driver != "bridge" || name == "bridge"; }
};

/// What a container wants of one network.
struct EndpointSpec {
  std::string network;  ///< name, id or the beginning of an id
  std::vector<std::string> aliases;
  std::vector<std::pair<std::string, std::string>> links;  ///< another container's name → the name it has for this one
  std::string ipv4, ipv6, mac;                             ///< empty: chosen
  int64_t gw_priority = 0;
  Texts driver_opts;
};

struct EndpointInfo {
  std::string network_id, network_name, endpoint_id;
  std::string interface_name;  ///< "eth0"; empty on host and none
  std::string mac, gateway, ipv4, gateway6, ipv6;
  int ipv4_length = 0, ipv6_length = 0;
  std::vector<std::string> dns_names;  ///< empty where there is no DNS by name
};

/// A wish that a port of the container be reachable by the host's addresses.
struct PortBinding {
  uint16_t container_port = 0;
  Protocol protocol = Protocol::tcp;
  std::string host_ip;                     ///< empty: the network's default, every address
  uint16_t first_port = 0, last_port = 0;  ///< the first free one of these; 0: any free one
};

struct BoundPort {
  uint16_t container_port = 0;
  Protocol protocol = Protocol::tcp;
  std::string host_ip;  ///< "0.0.0.0", "::", "127.0.0.1", …
  uint16_t host_port = 0;
  bool operator==(const BoundPort&) const = default;
};

struct DnsSettings {
  std::vector<std::string> servers, searches, options;  ///< --dns, --dns-search, --dns-option
};

/// All that a container needs as it starts.
struct SandboxSpec {
  std::string container_id, container_name;  ///< the name without "/"
  std::vector<EndpointSpec> endpoints;       ///< eth0 first. Several bridges, or "none" alone; "host" has no sandbox
  std::vector<PortBinding> ports;
  DnsSettings dns;
};

struct SandboxInfo {
  std::string id;          ///< 64 hex digits
  std::string netns_path;  ///< ends in the first 12 of them
  std::vector<EndpointInfo> endpoints;
  std::vector<BoundPort> ports;
};

}  // namespace estiba::network::bridge
