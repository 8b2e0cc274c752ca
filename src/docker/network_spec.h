// What a container wants of networks, out of its HostConfig and endpoints; and the files that go with it.
#pragma once
#include <string>
#include <vector>

#include "base/result.h"
#include "docker/containers.h"
#include "network/bridge/types.h"

namespace estiba::docker {

/// "host", "none", "container" or "bridge" (any network with an address).
std::string_view network_kind(const Container& container);
/// The x of "container:x", or "".
std::string_view other_of(std::string_view mode);

/// Not for host and container mode.
Result<network::bridge::SandboxSpec> network_spec(const Container& container);
/// "8000-8002" → (8000, 8002); "" → (0, 0). "invalid port …" otherwise.
Result<std::pair<uint16_t, uint16_t>> parse_port_range(std::string_view text);
/// "80/tcp" → (80, tcp)
Result<std::pair<uint16_t, network::Protocol>> parse_port(std::string_view text);
std::string print_port(uint16_t port, network::Protocol protocol);
/// The bindings that HostConfig asks for; PublishAllPorts adds the exposed ones.
Result<std::vector<network::bridge::PortBinding>> port_bindings(const json::Node& config, const json::Node& host_config);
/// One EndpointSettings as sent by a client.
Result<network::bridge::EndpointSpec> endpoint_spec(std::string network, const json::Node& settings);
/// {network: settings} of a new container, out of NetworkingConfig.EndpointsConfig and the network mode.
Result<json::Document> initial_endpoints(const json::Node* networking, std::string_view network_mode);

/// The text of /etc/hosts. `addresses` are the container's own; `host_gateway` is what ExtraHosts means by that word.
std::string hosts_text(const Container& container, const std::vector<std::string>& addresses, std::string_view host_gateway);

}  // namespace estiba::docker
