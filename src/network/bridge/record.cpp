#include "network/bridge/record.h"

#include "base/strings.h"
#include "base/time.h"
#include "model/json.h"

namespace estiba::network::bridge {

using json::Document;
using json::Node;

std::string_view protocol_name(Protocol protocol) { return protocol == Protocol::tcp ? "tcp" : protocol == Protocol::udp ? "udp" : "sctp"; }
static Protocol protocol_of(std::string_view name) {
  return name == "udp" ? Protocol::udp : name == "sctp" ? Protocol::sctp : Protocol::tcp;
}

static void put_texts(Document& doc, Node& object, std::string_view key, const Texts& texts) {
  Node& node = doc.set(object, key, doc.make_object());
  for (const auto& [name, value] : texts) doc.set(node, name, value);
}
static Texts get_texts(const Node& object, std::string_view key) {
  Texts texts;
  if (const Node* node = object.find(key))
    for (const Node& item : *node) texts.emplace(item.key(), item.as_string());
  return texts;
}
static void put_list(Document& doc, Node& object, std::string_view key, const std::vector<std::string>& list) {
  Node& node = doc.set(object, key, doc.make_array());
  for (const std::string& item : list) doc.append(node, doc.make_string(item));
}
static std::vector<std::string> get_list(const Node& object, std::string_view key) {
  std::vector<std::string> list;
  if (const Node* node = object.find(key))
    for (const Node& item : *node) list.emplace_back(item.as_string());
  return list;
}
static bool get_bool(const Node& object, std::string_view key, bool otherwise = false) {
  const Node* node = object.find(key);
  return node ? node->as_bool(otherwise) : otherwise;
}
static int64_t get_int(const Node& object, std::string_view key) {
  const Node* node = object.find(key);
  return node ? node->as_int().value_or(0) : 0;
}
template <class F>
static void each(const Node& object, std::string_view key, F f) {
  if (const Node* node = object.find(key))
    for (const Node& item : *node) f(item);
}

// --- networks --------------------------------------------------------------------------------------------------------

std::string network_text(const Network& network) {
  const NetworkInfo& info = network.info;
  Document doc;
  Node& root = doc.make_object();
  doc.set_root(root);
  doc.set(root, "Name", info.name);
  doc.set(root, "Id", info.id);
  doc.set(root, "Created", format_rfc3339_nano(info.created));
  doc.set(root, "Driver", info.driver);
  for (auto [key, value] : {std::pair("EnableIPv4", info.enable_ipv4),
                            {"EnableIPv6", info.enable_ipv6},
                            {"Internal", info.internal},
                            {"Attachable", info.attachable},
                            {"OwnSubnet", info.own_subnet}})
    doc.set(root, key, doc.make_bool(value));
  doc.set(root, "Bridge", info.link);
  Node& ipam = doc.set(root, "IPAM", doc.make_object());
  put_texts(doc, ipam, "Options", info.ipam_options);
  Node& config = doc.set(ipam, "Config", doc.make_array());
  for (const Subnet& subnet : info.subnets) {
    Node& item = doc.append(config, doc.make_object());
    doc.set(item, "Subnet", subnet.subnet);
    doc.set(item, "IPRange", subnet.range);
    doc.set(item, "Gateway", subnet.gateway);
    put_texts(doc, item, "AuxiliaryAddresses", subnet.auxiliary);
  }
  put_texts(doc, root, "Options", info.options);
  put_texts(doc, root, "Labels", info.labels);
  return json::print_pretty(root) + "\n";
}

Result<Network> parse_network(std::string_view text) {
  Document doc = TRY(Document::parse(text));
  const Node& root = doc.root();
  Network network;
  NetworkInfo& info = network.info;
  info.name = root.string_at("Name");
  info.id = root.string_at("Id");
  info.driver = root.string_at("Driver");
  info.link = root.string_at("Bridge");
  if (info.name.empty() || info.id.empty() || info.driver.empty())
    return fail(Code::malformed, "a network's record needs Name, Id and Driver");
  if (auto created = parse_rfc3339(root.string_at("Created"))) info.created = *created;
  info.enable_ipv4 = get_bool(root, "EnableIPv4", true);
  info.enable_ipv6 = get_bool(root, "EnableIPv6");
  info.internal = get_bool(root, "Internal");
  info.attachable = get_bool(root, "Attachable");
  info.own_subnet = get_bool(root, "OwnSubnet");
  info.options = get_texts(root, "Options");
  info.labels = get_texts(root, "Labels");
  if (const Node* ipam = root.find("IPAM")) {
    info.ipam_options = get_texts(*ipam, "Options");
    each(*ipam, "Config", [&](const Node& item) {
      info.subnets.push_back({.subnet = std::string(item.string_at("Subnet")),
                              .range = std::string(item.string_at("IPRange")),
                              .gateway = std::string(item.string_at("Gateway")),
                              .auxiliary = get_texts(item, "AuxiliaryAddresses")});
    });
  }
  for (const Subnet& subnet : info.subnets) {
    Side side = TRY(parse_side(subnet));
    (side.subnet.address.v6 ? network.v6 : network.v4) = side;
  }
  TRY(apply_options(network));
  return network;
}

// --- sandboxes -------------------------------------------------------------------------------------------------------

static void put_endpoint(Document& doc, Node& item, const Endpoint& endpoint) {
  doc.set(item, "network", endpoint.network_id);
  doc.set(item, "id", endpoint.id);
  doc.set(item, "interface", endpoint.interface_name);
  doc.set(item, "veth", endpoint.veth);
  doc.set(item, "mac", hex_encode(endpoint.mac));
  doc.set(item, "fixedMac", doc.make_bool(endpoint.fixed_mac));
  if (endpoint.v4) doc.set(item, "ipv4", endpoint.v4->text());
  if (endpoint.v6) doc.set(item, "ipv6", endpoint.v6->text());
  put_list(doc, item, "aliases", endpoint.aliases);
  Node& links = doc.set(item, "links", doc.make_array());
  for (const auto& [name, alias] : endpoint.links) {
    Node& link = doc.append(links, doc.make_array());
    doc.append(link, doc.make_string(name));
    doc.append(link, doc.make_string(alias));
  }
  doc.set(item, "gwPriority", doc.make_int(endpoint.gw_priority));
}

static Endpoint get_endpoint(const Node& item) {
  Endpoint endpoint;
  endpoint.network_id = item.string_at("network");
  endpoint.id = item.string_at("id");
  endpoint.interface_name = item.string_at("interface");
  endpoint.veth = item.string_at("veth");
  std::string_view mac = item.string_at("mac");
  for (size_t i = 0; i + 1 < mac.size(); i += 2) endpoint.mac += char(parse_number<uint8_t>(mac.substr(i, 2), 16).value_or(0));
  endpoint.fixed_mac = get_bool(item, "fixedMac");
  if (auto address = Address::parse(item.string_at("ipv4"))) endpoint.v4 = *address;
  if (auto address = Address::parse(item.string_at("ipv6"))) endpoint.v6 = *address;
  endpoint.aliases = get_list(item, "aliases");
  each(item, "links", [&](const Node& link) {
    if (link.is_array() && link.size() == 2) endpoint.links.emplace_back(link[0].as_string(), link[1].as_string());
  });
  endpoint.gw_priority = get_int(item, "gwPriority");
  return endpoint;
}

std::string sandbox_text(const Sandbox& sandbox) {
  Document doc;
  Node& root = doc.make_object();
  doc.set_root(root);
  doc.set(root, "id", sandbox.id);
  doc.set(root, "container", sandbox.container_id);
  doc.set(root, "name", sandbox.container_name);
  Node& endpoints = doc.set(root, "endpoints", doc.make_array());
  for (const Endpoint& endpoint : sandbox.endpoints) put_endpoint(doc, doc.append(endpoints, doc.make_object()), endpoint);
  Node& wishes = doc.set(root, "wishes", doc.make_array());
  for (const PortBinding& wish : sandbox.wishes) {
    Node& item = doc.append(wishes, doc.make_object());
    doc.set(item, "port", doc.make_int(wish.container_port));
    doc.set(item, "protocol", protocol_name(wish.protocol));
    doc.set(item, "hostIp", wish.host_ip);
    doc.set(item, "first", doc.make_int(wish.first_port));
    doc.set(item, "last", doc.make_int(wish.last_port));
  }
  Node& ports = doc.set(root, "ports", doc.make_array());
  for (const BoundPort& port : sandbox.ports) {
    Node& item = doc.append(ports, doc.make_object());
    doc.set(item, "port", doc.make_int(port.container_port));
    doc.set(item, "protocol", protocol_name(port.protocol));
    doc.set(item, "hostIp", port.host_ip);
    doc.set(item, "hostPort", doc.make_int(port.host_port));
  }
  put_list(doc, root, "dnsServers", sandbox.dns.servers);
  put_list(doc, root, "dnsSearches", sandbox.dns.searches);
  put_list(doc, root, "dnsOptions", sandbox.dns.options);
  return json::print(root) + "\n";
}

Result<Sandbox> parse_sandbox(std::string_view text) {
  Document doc = TRY(Document::parse(text));
  const Node& root = doc.root();
  Sandbox sandbox;
  sandbox.id = root.string_at("id");
  sandbox.container_id = root.string_at("container");
  sandbox.container_name = root.string_at("name");
  if (sandbox.id.size() != 64 || sandbox.container_id.empty())
    return fail(Code::malformed, "a sandbox's record needs an id and a container");
  each(root, "endpoints", [&](const Node& item) { sandbox.endpoints.push_back(get_endpoint(item)); });
  each(root, "wishes", [&](const Node& item) {
    sandbox.wishes.push_back({.container_port = uint16_t(get_int(item, "port")),
                              .protocol = protocol_of(item.string_at("protocol")),
                              .host_ip = std::string(item.string_at("hostIp")),
                              .first_port = uint16_t(get_int(item, "first")),
                              .last_port = uint16_t(get_int(item, "last"))});
  });
  each(root, "ports", [&](const Node& item) {
    sandbox.ports.push_back({.container_port = uint16_t(get_int(item, "port")),
                             .protocol = protocol_of(item.string_at("protocol")),
                             .host_ip = std::string(item.string_at("hostIp")),
                             .host_port = uint16_t(get_int(item, "hostPort"))});
  });
  sandbox.dns = {
      .servers = get_list(root, "dnsServers"), .searches = get_list(root, "dnsSearches"), .options = get_list(root, "dnsOptions")};
  return sandbox;
}

}  // namespace estiba::network::bridge
