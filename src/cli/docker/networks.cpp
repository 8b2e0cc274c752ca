// docker network VERB.
#include <arpa/inet.h>

#include <cstdio>

#include "base/strings.h"
#include "cli/docker/format.h"
#include "cli/docker/json_build.h"
#include "cli/docker/session.h"
#include "cli/docker/verb.h"
#include "cli/docker/verbs.h"

namespace estiba::cli::docker {

namespace {

Result<void> add_map(Object to, std::string_view key, const std::vector<std::string>& pairs) {
  for (const std::string& pair : pairs) {
    auto [name, value] = split_once(pair, '=');
    to.object(key).set(name, value.value_or(""));
  }
  return {};
}

std::string truth(const json::Node& node, std::string_view member) {
  const json::Node* found = node.find(member);
  return found && found->as_bool() ? "true" : "false";
}

std::string label_list(const json::Node* labels) {
  std::vector<std::string> out;
  if (labels)
    for (const json::Node& label : *labels) out.push_back(std::string(label.key()) + "=" + std::string(label.as_string()));
  std::sort(out.begin(), out.end());
  return join(out, ",");
}

// Whether an address lies in a subnet in CIDR form; false for what is neither.
bool subnet_holds(const std::string& subnet, const std::string& address) {
  const auto [network, length] = split_once(subnet, '/');
  const int family = subnet.contains(':') ? AF_INET6 : AF_INET;
  unsigned char a[16] = {}, b[16] = {};
  if (inet_pton(family, std::string(network).c_str(), a) != 1 || inet_pton(family, address.c_str(), b) != 1) return false;
  const int whole = family == AF_INET ? 32 : 128;
  const int bits = length ? parse_number<int>(*length).value_or(-1) : whole;
  if (bits < 0 || bits > whole) return false;
  for (int i = 0; i < bits; ++i)
    if ((a[i / 8] ^ b[i / 8]) >> (7 - i % 8) & 1) return false;
  return true;
}

}  // namespace

Result<int> network_create(Call& call) {
  bool attachable = false, config_only = false, ingress = false, internal = false, ipv4 = true, ipv6 = false;
  std::string config_from, driver = "bridge", ipam_driver = "default", scope;
  std::vector<std::string> aux, gateways, ranges, ipam_options, labels, options, subnets;
  Flags flags(call);
  flags.add("attachable", &attachable, "Enable manual container attachment");
  flags.add("aux-address", &aux, "Addresses that the network must not give out (name=address)", "map");
  flags.add("config-from", &config_from, "The network from which to copy the configuration");
  flags.add("config-only", &config_only, "Create a configuration only network");
  flags.add("driver,d", &driver, "Driver to manage the Network");
  flags.add("gateway", &gateways, "IPv4 or IPv6 gateway of a subnet", "strings");
  flags.add("ingress", &ingress, "Create swarm routing-mesh network");
  flags.hide();
  flags.add("internal", &internal, "Restrict external access to the network");
  flags.add("ip-range", &ranges, "Allocate container addresses from a sub-range", "strings");
  flags.add("ipam-driver", &ipam_driver, "IP Address Management Driver");
  flags.add("ipam-opt", &ipam_options, "Set IPAM driver specific options", "map");
  flags.add("ipv4", &ipv4, "Enable or disable IPv4 address assignment");
  flags.add("ipv6", &ipv6, "Enable or disable IPv6 address assignment");
  flags.add("label", &labels, "Set metadata on a network");
  flags.add("opt,o", &options, "Set driver specific options", "map");
  flags.add("scope", &scope, "Control the network's scope");
  flags.hide();
  flags.add("subnet", &subnets, "Subnet in CIDR format that represents a network segment", "strings");
  const Arguments arguments = TRY(flags.parse());
  Builder body;
  body.set("Name", arguments[0])
      .set("Driver", driver)
      .set("Internal", internal)
      .set("Attachable", attachable)
      .set("ConfigOnly", config_only)
      .set("Ingress", ingress);
  if (flags.given("ipv4")) body.set("EnableIPv4", ipv4);
  if (flags.given("ipv6")) body.set("EnableIPv6", ipv6);
  body.maybe("Scope", scope);
  if (!config_from.empty()) body.object("ConfigFrom").set("Network", config_from);
  TRY(add_map(body, "Options", options));
  TRY(add_map(body, "Labels", labels));
  Object ipam = body.object("IPAM").set("Driver", ipam_driver);
  TRY(add_map(ipam, "Options", ipam_options));
  std::vector<std::string> all_subnets;
  for (const std::string& each : subnets)
    for (std::string_view one : split(each, ',')) all_subnets.emplace_back(one);
  if (all_subnets.empty() && (!gateways.empty() || !ranges.empty()))
    return fail(Code::invalid, "every ip-range or gateway must have a corresponding subnet");
  std::vector<Object> pools;
  for (const std::string& subnet : all_subnets) pools.push_back(ipam.append("Config").set("Subnet", subnet));
  auto place = [&](std::string_view address, std::string_view what) -> Result<Object> {
    for (size_t i = 0; i < all_subnets.size(); ++i)
      if (subnet_holds(all_subnets[i], std::string(address.substr(0, address.find('/'))))) return pools[i];
    return fail(Code::invalid, "no matching subnet for " + std::string(what) + " " + std::string(address));
  };
  for (const std::string& range : ranges) TRY(place(range, "range")).set("IPRange", range);
  for (const std::string& gateway : gateways) TRY(place(gateway, "gateway")).set("Gateway", gateway);
  for (const std::string& pair : aux) {
    auto [name, address] = split_once(pair, '=');
    if (!address) return fail(Code::invalid, "invalid argument " + quoted(pair) + " for \"--aux-address\" flag: NAME=ADDRESS is expected");
    TRY(place(*address, "aux-address")).object("AuxiliaryAddresses").set(name, *address);
  }
  const json::Document answer = TRY(TRY(call.cli.client())->call({.method = "POST", .path = "/networks/create", .body = body.text()}));
  if (const std::string_view warning = answer.root().string_at("Warning"); !warning.empty()) complain("WARNING: " + std::string(warning));
  std::printf("%s\n", std::string(answer.root().string_at("Id")).c_str());
  return 0;
}

Result<int> network_connect(Call& call) {
  std::vector<std::string> aliases, links, driver_options, link_local;
  std::string ip, ip6;
  int64_t priority = 0;
  Flags flags(call);
  flags.add("alias", &aliases, "Add network-scoped alias for the container", "strings");
  flags.add("driver-opt", &driver_options, "driver options for the network", "strings");
  flags.add("gw-priority", &priority, "Highest gw-priority provides the default gateway");
  flags.add("ip", &ip, "IPv4 address (e.g., \"172.30.100.104\")");
  flags.add("ip6", &ip6, "IPv6 address (e.g., \"2001:db8::33\")");
  flags.add("link", &links, "Add link to another container");
  flags.add("link-local-ip", &link_local, "Add a link-local address for the container", "strings");
  const Arguments arguments = TRY(flags.parse());
  Builder body;
  body.set("Container", arguments[1]);
  Object endpoint = body.object("EndpointConfig");
  endpoint.maybe("Aliases", aliases).maybe("Links", links).maybe("GwPriority", priority);
  TRY(add_map(endpoint, "DriverOpts", driver_options));
  if (!ip.empty() || !ip6.empty() || !link_local.empty())
    endpoint.object("IPAMConfig").maybe("IPv4Address", ip).maybe("IPv6Address", ip6).maybe("LinkLocalIPs", link_local);
  TRY(TRY(call.cli.client())->text({.method = "POST", .path = "/networks/" + segment(arguments[0]) + "/connect", .body = body.text()}));
  return 0;
}

Result<int> network_disconnect(Call& call) {
  bool force = false;
  Flags flags(call);
  flags.add("force,f", &force, "Force the container to disconnect from a network");
  const Arguments arguments = TRY(flags.parse());
  Builder body;
  body.set("Container", arguments[1]).set("Force", force);
  TRY(TRY(call.cli.client())->text({.method = "POST", .path = "/networks/" + segment(arguments[0]) + "/disconnect", .body = body.text()}));
  return 0;
}

Result<int> network_ls(Call& call) {
  bool whole = false, quiet = false;
  std::string format;
  std::vector<std::string> filter;
  Flags flags(call);
  flags.add("filter,f", &filter, "Provide filter values (e.g. \"driver=bridge\")", "filter");
  flags.add("format", &format, "Format output using a custom template: 'table', 'table TEMPLATE', 'json' or 'TEMPLATE'");
  flags.add("no-trunc", &whole, "Do not truncate the output");
  flags.add("quiet,q", &quiet, "Only display network IDs");
  TRY(flags.parse());
  if (format.empty() && !quiet) format = TRY(call.cli.config())->text("networksFormat");
  Listing listing("*formatter.networkContext", {{"ID", "NETWORK ID"},
                                                {"Name", "NAME"},
                                                {"Driver", "DRIVER"},
                                                {"Scope", "SCOPE"},
                                                {"IPv4", "IPV4"},
                                                {"IPv6", "IPV6"},
                                                {"Labels", "LABELS"},
                                                {"Internal", "INTERNAL"},
                                                {"CreatedAt", "CREATED AT"}});
  TRY(listing.start(format, quiet, "{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}", "{{.ID}}"));
  Request request{.path = "/networks"};
  if (std::string conditions = TRY(filters(filter)); !conditions.empty()) request.query.add("filters", conditions);
  const json::Document answer = TRY(TRY(call.cli.client())->call(std::move(request)));
  std::vector<const json::Node*> networks;
  for (const json::Node& each : answer.root()) networks.push_back(&each);
  std::sort(networks.begin(), networks.end(), [](auto* a, auto* b) { return a->string_at("Name") < b->string_at("Name"); });
  for (const json::Node* network : networks) {
    json::Node& row = listing.row();
    const std::string_view id = network->string_at("Id");
    const auto created = unix_time(network->string_at("Created"));
    listing.set(row, "CreatedAt", created ? go_time(created->first, created->second) : "");
    listing.set(row, "Driver", network->string_at("Driver"));
    listing.set(row, "ID", whole ? std::string(id) : short_id(id));
    listing.set(row, "IPv4", network->find("EnableIPv4") ? truth(*network, "EnableIPv4") : "true");
    listing.set(row, "IPv6", truth(*network, "EnableIPv6"));
    listing.set(row, "Internal", truth(*network, "Internal"));
    listing.set(row, "Labels", label_list(network->find("Labels")));
    listing.set(row, "Name", network->string_at("Name"));
    listing.set(row, "Scope", network->string_at("Scope"));
    TRY(listing.add(row, network->find("Labels")));
  }
  std::fputs(TRY(listing.finish()).c_str(), stdout);
  return 0;
}

Result<int> network_rm(Call& call) {
  bool force = false;
  Flags flags(call);
  flags.add("force,f", &force, "Do not error if the network does not exist");
  const Arguments names = TRY(flags.parse());
  Client& client = *TRY(call.cli.client());
  return for_each(names, [&](std::string_view name) -> Result<void> {
    auto removed = client.text({.method = "DELETE", .path = "/networks/" + segment(name)});
    if (!removed && force && removed.error().code == Code::not_found) return {};
    if (!removed) return std::unexpected(std::move(removed.error()));
    std::printf("%.*s\n", int(name.size()), name.data());
    return {};
  });
}

Result<int> network_prune(Call& call) {
  bool force = false;
  std::vector<std::string> filter;
  Flags flags(call);
  flags.add("filter", &filter, "Provide filter values (e.g. \"until=<timestamp>\")", "filter");
  flags.add("force,f", &force, "Do not prompt for confirmation");
  TRY(flags.parse());
  if (!force &&
      !confirmed("WARNING! This will remove all custom networks not used by at least one container.\nAre you sure you want to continue?"))
    return 0;
  Request request{.method = "POST", .path = "/networks/prune"};
  if (std::string conditions = TRY(filters(filter)); !conditions.empty()) request.query.add("filters", conditions);
  const json::Document answer = TRY(TRY(call.cli.client())->call(std::move(request)));
  if (const json::Node* gone = answer.root().find("NetworksDeleted"); gone && !gone->empty()) {
    std::puts("Deleted Networks:");
    for (const json::Node& each : *gone) std::printf("%s\n", std::string(each.as_string()).c_str());
    std::puts("");
  }
  return 0;
}

}  // namespace estiba::cli::docker
