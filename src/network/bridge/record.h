// What is kept on disk: a network in <data_dir>/docker/networks/<id>.json, with the fields of the Docker Engine API, and what a running
// container has in <run_dir>/docker/sandboxes/<container id>.json.
#pragma once
#include <string>

#include "network/bridge/plan.h"

namespace estiba::network::bridge {

/// A container's place in a network, with all that is needed to take it away again.
struct Endpoint {
  std::string network_id, id;
  std::string interface_name, veth;  ///< within, and the node's side
  std::string mac;                   ///< six bytes
  std::optional<Address> v4, v6;
  bool fixed_mac = false;
  std::vector<std::string> aliases;
  std::vector<std::pair<std::string, std::string>> links;
  int64_t gw_priority = 0;
};

struct Sandbox {
  std::string id;  ///< 64 hex digits
  std::string container_id, container_name;
  std::vector<Endpoint> endpoints;
  std::vector<PortBinding> wishes;
  std::vector<BoundPort> ports;  ///< held; they lead somewhere while a network has a way out
  DnsSettings dns;
};

std::string network_text(const Network& network);
Result<Network> parse_network(std::string_view text);
std::string sandbox_text(const Sandbox& sandbox);
Result<Sandbox> parse_sandbox(std::string_view text);

std::string_view protocol_name(Protocol protocol);

}  // namespace estiba::network::bridge
