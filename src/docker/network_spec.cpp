#include "docker/network_spec.h"

#include "base/strings.h"
#include "docker/config.h"

namespace estiba::docker {

namespace {

using json::Node;
using network::Protocol;
using network::bridge::EndpointSpec;
using network::bridge::PortBinding;

network::bridge::Texts texts_of(const Node* map) {
  network::bridge::Texts out;
  if (map)
    for (const Node& item : *map) out.emplace(item.key(), item.as_string());
  return out;
}

/// "db:database" → ("db", "database"); "db" → ("db", "db"). Docker keeps them as "/db:/web/database".
std::pair<std::string, std::string> parse_link(std::string_view text) {
  auto [name, alias] = split_once(text, ':');
  std::string_view last = alias.value_or(name);
  if (const size_t slash = last.rfind('/'); slash != last.npos) last = last.substr(slash + 1);
  if (name.starts_with('/')) name.remove_prefix(1);
  return {std::string(name), std::string(last)};
}

}  // namespace

std::string_view other_of(std::string_view mode) { return mode.starts_with("container:") ? mode.substr(10) : std::string_view(); }

std::string_view network_kind(const Container& container) {
  const std::string& mode = container.facts.network_mode;
  if (bool_at(container.config.root(), "NetworkDisabled")) return "none";
  if (mode == "host" || mode == "none") return mode;
  return other_of(mode).empty() ? "bridge" : "container";
}

Result<std::pair<uint16_t, uint16_t>> parse_port_range(std::string_view text) {
  if (text.empty()) return std::pair<uint16_t, uint16_t>(0, 0);
  auto [first_text, last_text] = split_once(text, '-');
  auto first = parse_number<uint16_t>(first_text);
  auto last = last_text ? parse_number<uint16_t>(*last_text) : first;
  if (!first || !last || *last < *first)
    return fail(Code::invalid, "invalid port range: " + quoted(text) + ": a number or FIRST-LAST is expected, of 1 to 65535");
  return std::pair(*first, *last);
}

Result<std::pair<uint16_t, Protocol>> parse_port(std::string_view text) {
  auto [number, name] = split_once(text, '/');
  auto port = parse_number<uint16_t>(number);
  const std::string protocol = to_lower(name.value_or("tcp"));
  if (!port || *port == 0) return fail(Code::invalid, "invalid port specification: " + quoted(text));
  if (protocol == "tcp") return std::pair(*port, Protocol::tcp);
  if (protocol == "udp") return std::pair(*port, Protocol::udp);
  if (protocol == "sctp") return std::pair(*port, Protocol::sctp);
  return fail(Code::invalid, "invalid proto: " + protocol + " in port specification " + quoted(text));
}

std::string print_port(uint16_t port, Protocol protocol) {
  return std::to_string(port) + (protocol == Protocol::tcp ? "/tcp" : protocol == Protocol::udp ? "/udp" : "/sctp");
}

Result<std::vector<PortBinding>> port_bindings(const Node& config, const Node& host) {
  std::vector<PortBinding> out;
  const Node* bindings = host.find("PortBindings");
  if (bindings)
    for (const Node& item : *bindings) {
      auto [port, protocol] = TRY(parse_port(item.key()));
      for (const Node& binding : item) {
        PortBinding one{.container_port = port, .protocol = protocol, .host_ip = std::string(binding.string_at("HostIp"))};
        std::tie(one.first_port, one.last_port) = TRY(parse_port_range(binding.string_at("HostPort")));
        out.push_back(std::move(one));
      }
      if (item.empty()) out.push_back({.container_port = port, .protocol = protocol});
    }
  if (!bool_at(host, "PublishAllPorts")) return out;
  if (const Node* exposed = config.find("ExposedPorts"))
    for (const Node& item : *exposed) {
      if (bindings && bindings->find(item.key())) continue;
      auto [port, protocol] = TRY(parse_port(item.key()));
      out.push_back({.container_port = port, .protocol = protocol});
    }
  return out;
}

Result<EndpointSpec> endpoint_spec(std::string network, const Node& settings) {
  EndpointSpec out;
  out.network = std::move(network);
  out.aliases = strings_of(settings.find("Aliases"));
  for (const auto& link : strings_of(settings.find("Links"))) out.links.push_back(parse_link(link));
  out.ipv4 = settings.string_at("IPAMConfig", "IPv4Address");
  out.ipv6 = settings.string_at("IPAMConfig", "IPv6Address");
  out.mac = settings.string_at("MacAddress");
  out.gw_priority = int_at(settings, "GwPriority");
  out.driver_opts = texts_of(settings.find("DriverOpts"));
  return out;
}

Result<json::Document> initial_endpoints(const Node* networking, std::string_view mode) {
  json::Document out;
  Node& root = out.make_object();
  out.set_root(root);
  const Node* given = networking ? networking->find("EndpointsConfig") : nullptr;
  if (mode == "host" || !other_of(mode).empty()) {
    if (given && !given->empty() && !(given->size() == 1 && given->find(mode)))
      return fail(Code::invalid, "conflicting options: cannot attach both user-defined and non-user-defined network-modes");
    if (mode != "host") return out;
  }
  // The network of the mode comes first, as eth0.
  const Node* first = given ? given->find(mode) : nullptr;
  if (!first && given && mode == "bridge") first = given->find("default");
  out.set(root, mode, first && first->is_object() ? out.copy(*first) : out.make_object());
  if (!given) return out;
  for (const Node& item : *given) {
    if (item.key() == mode || item.key() == "default") continue;
    out.set(root, item.key(), item.is_object() ? out.copy(item) : out.make_object());
  }
  return out;
}

Result<network::bridge::SandboxSpec> network_spec(const Container& c) {
  network::bridge::SandboxSpec out;
  out.container_id = c.id;
  out.container_name = c.name;
  const Node &config = c.config.root(), &host = c.host_config.root();
  if (network_kind(c) == "none") {
    out.endpoints.push_back({.network = "none"});
  } else {
    for (const Node& item : c.endpoints.root()) out.endpoints.push_back(TRY(endpoint_spec(std::string(item.key()), item)));
    if (out.endpoints.empty()) out.endpoints.push_back({.network = "none"});
    auto& first = out.endpoints.front();
    if (first.mac.empty()) first.mac = config.string_at("MacAddress");
    for (const auto& link : strings_of(host.find("Links"))) first.links.push_back(parse_link(link));
    out.ports = TRY(port_bindings(config, host));
  }
  out.dns = {strings_of(host.find("Dns")), strings_of(host.find("DnsSearch")), strings_of(host.find("DnsOptions"))};
  return out;
}

std::string hosts_text(const Container& c, const std::vector<std::string>& addresses, std::string_view host_gateway) {
  std::string out =
      "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost "
      "ip6-loopback\nfe00::\tip6-localnet\nff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n";
  for (const auto& item : strings_of(c.host_config.root().find("ExtraHosts"))) {
    // "name:address"; an IPv6 address has colons of its own, and may stand in brackets.
    auto [name, address] = split_once(item, item.find('=') != item.npos && item.find('=') < item.find(':') ? '=' : ':');
    std::string_view to = address.value_or("");
    if (to.starts_with('[') && to.ends_with(']')) to = to.substr(1, to.size() - 2);
    if (to == "host-gateway") to = host_gateway;
    if (!to.empty()) out.append(to).append("\t").append(name).append("\n");
  }
  const std::string_view hostname = c.config.root().string_at("Hostname"), domain = c.config.root().string_at("Domainname");
  for (const auto& address : addresses) {
    out.append(address).append("\t");
    if (!domain.empty()) out.append(hostname).append(".").append(domain).append(" ");
    out.append(hostname).append("\n");
  }
  return out;
}

}  // namespace estiba::docker
