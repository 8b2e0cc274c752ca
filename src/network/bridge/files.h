// The files that tell a container of its network. Pure, so that tests can compare them.
#pragma once
#include <string>
#include <string_view>

#include "network/bridge/types.h"

namespace estiba::network::bridge {

/// The text of /etc/resolv.conf. `host` is the text of the host's own; with `names` the container asks 127.0.0.11, which knows its
/// neighbours and asks further. A server that only the host can reach, such as 127.0.0.53, is asked by way of 127.0.0.11 too.
std::string container_resolv_conf(const DnsSettings& dns, std::string_view host, bool names);
/// With the host's network: the host's own text, but for what the user has set.
std::string host_network_resolv_conf(const DnsSettings& dns, std::string_view host);

/// The text of /etc/hosts: localhost, the container's own addresses, and `extra`, pairs of a name and an address.
std::string container_hosts(const SandboxInfo& sandbox, std::string_view hostname, std::string_view domainname,
                            const std::vector<std::pair<std::string, std::string>>& extra);

}  // namespace estiba::network::bridge
