#include "network/bridge/files.h"

#include <algorithm>

#include "network/bridge/networks_impl.h"
#include "network/dns/resolv_conf.h"
#include "os/file.h"

namespace estiba::network::bridge {

static void put_options(ResolvConf& conf, const std::vector<std::string>& options) {
  conf.options.clear();
  for (const std::string& option : options) {
    size_t colon = option.find(':');
    conf.options.emplace_back(option.substr(0, colon), colon == std::string::npos ? std::nullopt : std::optional(option.substr(colon + 1)));
  }
}

static ResolvConf settled(const DnsSettings& dns, std::string_view host) {
  ResolvConf conf = ResolvConf::parse(host);
  if (!dns.servers.empty()) conf.nameservers = dns.servers;
  if (!dns.searches.empty()) conf.searches = dns.searches;
  std::erase(conf.searches, ".");
  if (!dns.options.empty()) put_options(conf, dns.options);
  return conf;
}

std::string container_resolv_conf(const DnsSettings& dns, std::string_view host, bool names) {
  ResolvConf conf = settled(dns, host);
  bool own = conf.nameservers.empty() ||
             std::ranges::any_of(conf.nameservers, [](const std::string& server) { return server.starts_with("127.") || server == "::1"; });
  if (names || own) conf.nameservers = {"127.0.0.11"};
  if (names && std::ranges::none_of(conf.options, [](const auto& option) { return option.first == "ndots"; }))
    conf.options.emplace_back("ndots", "0");
  return conf.text();
}

std::string host_network_resolv_conf(const DnsSettings& dns, std::string_view host) {
  if (dns.servers.empty() && dns.searches.empty() && dns.options.empty()) return std::string(host);
  return settled(dns, host).text();
}

std::string container_hosts(const SandboxInfo& sandbox, std::string_view hostname, std::string_view domainname,
                            const std::vector<std::pair<std::string, std::string>>& extra) {
  std::string text =
      "127.0.0.1\tlocalhost\n"
      "::1\tlocalhost ip6-localhost ip6-loopback\n"
      "fe00::\tip6-localnet\n"
      "ff00::\tip6-mcastprefix\n"
      "ff02::1\tip6-allnodes\n"
      "ff02::2\tip6-allrouters\n";
  for (const auto& [name, address] : extra) text += address + "\t" + name + "\n";
  std::string self(hostname);
  if (!domainname.empty()) self = self + "." + std::string(domainname) + " " + self;
  for (const EndpointInfo& endpoint : sandbox.endpoints)
    for (const std::string& address : {endpoint.ipv4, endpoint.ipv6})
      if (!address.empty() && !hostname.empty()) text += address + "\t" + self + "\n";
  return text;
}

// --- of containers that run ------------------------------------------------------------------------------------------

std::string Networks::resolv_conf(std::string_view container_id) const {
  std::string host = os::read_file(impl_->options.resolv_conf).value_or("");
  auto found = impl_->sandboxes.find(container_id);
  if (found == impl_->sandboxes.end()) return container_resolv_conf({}, host, false);
  bool names = std::ranges::any_of(found->second.endpoints, [&](const Endpoint& endpoint) { return impl_->asks_names(endpoint); });
  return container_resolv_conf(found->second.dns, host, names);
}

std::string Networks::host_resolv_conf(const DnsSettings& dns) const {
  return host_network_resolv_conf(dns, os::read_file(impl_->options.resolv_conf).value_or(""));
}

std::string Networks::host_gateway() const {
  for (const auto& [id, known] : impl_->networks)
    if (known.network.info.name == "bridge" && known.network.v4) return known.network.v4->gateway.text();
  return {};
}

}  // namespace estiba::network::bridge
