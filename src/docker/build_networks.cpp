#include "docker/build_networks.h"

#include "base/strings.h"
#include "docker/daemon.h"
#include "network/bridge/networks.h"

namespace estiba::docker {
namespace {

/// The text of /etc/hosts; `extra` are lines of --add-host.
Result<std::string> hosts_text(const std::vector<std::string>& extra, const std::string& own, const std::string& gateway) {
  std::string out = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n" + own;
  for (const std::string& line : extra) {
    const size_t separator = line.find_first_of(":=");
    if (separator == line.npos || separator == 0 || separator + 1 == line.size())
      return fail(Code::invalid, "bad format for add-host: " + quoted(line) + ": NAME:ADDRESS is expected");
    const std::string address = line.substr(separator + 1);
    out += (address == "host-gateway" ? gateway : address) + "\t" + line.substr(0, separator) + "\n";
  }
  return out;
}

}  // namespace

Task<Result<build::NetworkLease>> DockerBuildNetworks::attach(std::string container_id, std::string mode,
                                                              std::vector<std::string> extra_hosts) {
  auto& networks = daemon_.networks();
  build::NetworkLease lease;
  if (mode == "host") {
    lease.hosts = CO_TRY(hosts_text(extra_hosts, "", networks.host_gateway()));
    lease.resolv_conf = networks.host_resolv_conf({});
    co_return lease;
  }
  if (mode.starts_with("container:"))
    co_return fail(Code::unsupported, "the network mode " + quoted(mode) + " is not offered for builds: name a network, host or none");
  const std::string network = mode == "default" || mode.empty() ? "bridge" : mode;
  const std::string name = container_id.substr(0, 12);
  auto box = CO_TRY(co_await networks.attach({.container_id = container_id, .container_name = name, .endpoints = {{.network = network}}}));
  std::string own;
  for (const auto& endpoint : box.endpoints)
    if (!endpoint.ipv4.empty()) own += std::string(split_once(endpoint.ipv4, '/').first) + "\t" + name + "\n";
  lease.netns_path = box.netns_path;
  lease.hosts = CO_TRY(hosts_text(extra_hosts, own, networks.host_gateway()));
  lease.resolv_conf = networks.resolv_conf(container_id);
  co_return lease;
}

Task<void> DockerBuildNetworks::release(std::string container_id) { (void)co_await daemon_.networks().release(container_id); }

}  // namespace estiba::docker
