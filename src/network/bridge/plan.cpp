#include "network/bridge/plan.h"

#include <algorithm>

#include "base/strings.h"

namespace estiba::network::bridge {

static constexpr std::string_view kBridge = "com.docker.network.bridge.";

// --- addresses -------------------------------------------------------------------------------------------------------

Prefix masked(Address address, int length) {
  for (size_t i = 0; i < address.size(); ++i) address.bytes[i] &= uint8_t(0xff00 >> std::clamp(length - int(i) * 8, 0, 8));
  return {address, length};
}

bool overlaps(const Prefix& a, const Prefix& b) { return a.contains(b.address) || b.contains(a.address); }

static Address after(Address address) {
  for (size_t i = address.size(); i-- > 0;)
    if (++address.bytes[i]) break;
  return address;
}

static Address last_of(const Prefix& prefix) {
  Address address = prefix.address;
  for (size_t i = 0; i < address.size(); ++i) address.bytes[i] |= uint8_t(~(0xff00 >> std::clamp(prefix.length - int(i) * 8, 0, 8)));
  return address;
}

// The subnet's own address and the broadcast are nobody's, but in the smallest subnets.
static bool usable(const Side& side, const Address& address) {
  if (address == side.gateway || std::ranges::find(side.reserved, address) != side.reserved.end()) return false;
  if (side.subnet.length >= int(side.subnet.address.size()) * 8 - 1) return true;
  return address != side.subnet.address && (address.v6 || address != last_of(side.subnet));
}

Result<Address> Addresses::take(const Side& side) {
  Address last = last_of(side.range);
  for (Address address = side.range.address;; address = after(address)) {
    if (usable(side, address) && used_.insert(address).second) return address;
    if (address == last) break;
  }
  return fail(Code::exhausted,
              "no available IPv" + std::string(last.v6 ? "6" : "4") + " addresses on this network's address pools: " + side.range.text());
}

Result<void> Addresses::take(const Side& side, const Address& address) {
  if (!side.subnet.contains(address)) return fail(Code::invalid, "no configured subnet contains IP address " + address.text());
  if (!usable(side, address) || !used_.insert(address).second) return fail(Code::forbidden, "Address already in use: " + address.text());
  return {};
}

Result<std::string> parse_mac(std::string_view text) {
  std::string mac;
  for (std::string_view part : split(text, text.contains('-') ? '-' : ':')) {
    auto byte = part.size() == 2 ? parse_number<uint8_t>(part, 16) : std::nullopt;
    if (!byte) return fail(Code::invalid, "invalid MAC address: " + std::string(text));
    mac += char(*byte);
  }
  if (mac.size() != 6 || (mac[0] & 1)) return fail(Code::invalid, "invalid MAC address: " + std::string(text));
  return mac;
}

std::string mac_text(std::string_view mac) {
  std::string text;
  for (size_t i = 0; i < mac.size(); ++i) text += (i ? ":" : "") + hex_encode(mac.substr(i, 1));
  return text;
}

// --- options ---------------------------------------------------------------------------------------------------------

static Result<bool> parse_bool(const std::string& key, const std::string& value) {
  for (const char* yes : {"1", "t", "T", "true", "TRUE", "True"})
    if (value == yes) return true;
  for (const char* no : {"0", "f", "F", "false", "FALSE", "False"})
    if (value == no) return false;
  return fail(Code::invalid, "failed to parse " + key + " value: " + quoted(value) + " is neither true nor false");
}

static Result<void> apply_gateway_mode(Network& network, const std::string& key, const std::string& value) {
  if (value == "nat-unprotected") network.protect = false;
  else if (value != "nat" && !value.empty())
    return fail(Code::invalid, key + "=" + value + " is not offered by this engine: use nat or nat-unprotected");
  return {};
}

Result<void> apply_options(Network& network) {
  for (const auto& [key, value] : network.info.options) {
    if (key == "com.docker.network.driver.mtu") {
      auto mtu = parse_number<int>(value);
      if (!mtu || *mtu < 0 || *mtu > 65535 || (*mtu > 0 && *mtu < 68))
        return fail(Code::invalid, "invalid MTU " + quoted(value) + " in " + key);
      network.mtu = *mtu;
    } else if (key == "com.docker.network.container_iface_prefix") {
      if (value.empty() || value.size() > 10 || value.find_first_of("/ %:") != std::string::npos)
        return fail(Code::invalid, "invalid interface prefix " + quoted(value));
      network.interface_prefix = value;
    }
    if (!key.starts_with(kBridge)) continue;
    std::string_view name = std::string_view(key).substr(kBridge.size());
    if (name == "enable_icc") network.icc = TRY(parse_bool(key, value));
    else if (name == "enable_ip_masquerade") network.masquerade = TRY(parse_bool(key, value));
    else if (name == "host_binding_ipv4")
      network.host_ip = value.empty() || value == "0.0.0.0" ? "" : TRY_AS(key, Address::parse(value)).text();
    else if (name == "gateway_mode_ipv4" || name == "gateway_mode_ipv6") TRY(apply_gateway_mode(network, key, value));
    else if (name == "name") {
      if (value.empty() || value.size() > 15 || value.find_first_of("/ :") != std::string::npos || value == "." || value == "..")
        return fail(Code::invalid,
                    "invalid bridge name " + quoted(value) + " in " + key + ": it is the name of a link, of at most 15 characters");
      network.info.link = value;
    }
  }
  return {};
}

// --- subnets ---------------------------------------------------------------------------------------------------------

static Result<Prefix> parse_prefix(const std::string& what, const std::string& text) {
  auto [ip, length] = split_once(text, '/');
  auto address = Address::parse(ip);
  auto bits = parse_number<int>(length.value_or(""));
  if (!address || !bits || *bits < 0 || *bits > int(address->size()) * 8)
    return fail(Code::invalid, "invalid " + what + " " + text + ": invalid CIDR block notation");
  Prefix prefix = masked(*address, *bits);
  if (prefix.address != *address) return fail(Code::invalid, "invalid " + what + " " + text + ": it should be " + prefix.text());
  return prefix;
}

static Result<Address> parse_within(const std::string& what, const std::string& text, const Prefix& subnet) {
  auto address = Address::parse(text);
  if (!address) return fail(Code::invalid, "invalid " + what + " " + text + ": invalid address");
  if (!subnet.contains(*address))
    return fail(Code::invalid, "invalid " + what + " " + text + ": it is not within the subnet " + subnet.text());
  return *address;
}

static Result<Side> parse_parts(const Subnet& wish) {
  Side side{.subnet = TRY(parse_prefix("subnet", wish.subnet))};
  if (side.subnet.length > int(side.subnet.address.size()) * 8 - 1)
    return fail(Code::invalid, "invalid subnet " + wish.subnet + ": it has no room for a gateway and a container");
  side.range = side.subnet;
  if (!wish.range.empty()) {
    side.range = TRY(parse_prefix("ip-range", wish.range));
    if (!side.subnet.contains(side.range.address) || side.range.length < side.subnet.length)
      return fail(Code::invalid, "invalid ip-range " + wish.range + ": it is not within the subnet " + side.subnet.text());
  }
  for (const auto& [name, text] : wish.auxiliary) side.reserved.push_back(TRY(parse_within("auxiliary address", text, side.subnet)));
  if (wish.gateway.empty()) {
    // The first address of the range, unless it is kept for something else.
    side.gateway = side.range.address == side.subnet.address && side.subnet.length < int(side.subnet.address.size()) * 8 - 1
                       ? after(side.subnet.address)
                       : side.range.address;
    while (std::ranges::find(side.reserved, side.gateway) != side.reserved.end()) side.gateway = after(side.gateway);
  } else {
    side.gateway = TRY(parse_within("gateway", wish.gateway, side.subnet));
  }
  return side;
}

Result<Side> parse_side(const Subnet& subnet) { return within("invalid network config", parse_parts(subnet)); }

static bool is_free(const Prefix& prefix, const std::vector<Prefix>& taken) {
  return std::ranges::none_of(taken, [&](const Prefix& other) { return overlaps(prefix, other); });
}

// The pools that dockerd has by default.
static Result<Prefix> choose_v4(const std::vector<Prefix>& taken) {
  for (uint32_t n = 17; n <= 31; ++n)
    if (Prefix prefix{Address::from_number(172u << 24 | n << 16), 16}; is_free(prefix, taken)) return prefix;
  for (uint32_t n = 0; n < 16; ++n)
    if (Prefix prefix{Address::from_number(192u << 24 | 168u << 16 | n << 12), 20}; is_free(prefix, taken)) return prefix;
  return fail(Code::forbidden,
              "all predefined address pools have been fully subnetted: name a subnet with --subnet, or remove networks with `docker "
              "network prune`");
}

// A unique local prefix (RFC 4193): 40 random bits make a collision with anybody's unlikely.
static Prefix choose_v6(const std::vector<Prefix>& taken) {
  for (;;) {
    Address address{.v6 = true};
    address.bytes[0] = 0xfd;
    std::string random = random_bytes(5);
    for (size_t i = 0; i < 5; ++i) address.bytes[i + 1] = uint8_t(random[i]);
    if (Prefix prefix = masked(address, 64); is_free(prefix, taken)) return prefix;
  }
}

static Result<void> check_overlap(const Side& side, const std::vector<const Network*>& networks) {
  for (const Network* other : networks)
    for (const auto* theirs : {&other->v4, &other->v6})
      if (*theirs && overlaps((*theirs)->subnet, side.subnet))
        return fail(Code::forbidden, "invalid pool request: Pool overlaps with other one on this address space: " + side.subnet.text() +
                                         " with " + (*theirs)->subnet.text() + " of the network " + other->info.name);
  return {};
}

static Result<void> plan_subnets(Network& network, const std::vector<const Network*>& networks, std::vector<Prefix> taken) {
  NetworkInfo& info = network.info;
  for (const Network* other : networks)
    for (const auto* side : {&other->v4, &other->v6})
      if (*side) taken.push_back((*side)->subnet);
  std::vector<Subnet> wishes = std::exchange(info.subnets, {});
  for (Subnet& wish : wishes) {
    if (wish.subnet.empty()) {
      // "Gateway" alone, or an empty entry: Docker fills in what is missing.
      if (!wish.gateway.empty() || !wish.range.empty())
        return fail(Code::invalid, "invalid network config: a gateway or an ip-range needs a subnet");
      continue;
    }
    Side side = TRY(parse_side(wish));
    bool v6 = side.subnet.address.v6;
    if (v6 && !info.enable_ipv6)
      return fail(Code::invalid, "invalid network config: IPv6 is disabled, but the subnet " + wish.subnet + " is IPv6: use --ipv6");
    if (!v6 && !info.enable_ipv4)
      return fail(Code::invalid, "invalid network config: IPv4 is disabled, but the subnet " + wish.subnet + " is IPv4");
    if (v6 ? network.v6.has_value() : network.v4.has_value())
      return fail(Code::forbidden, "bridge driver doesn't support multiple subnets: " + wish.subnet);
    TRY(check_overlap(side, networks));
    (v6 ? network.v6 : network.v4) = side;
    info.own_subnet = true;
    wish.gateway = side.gateway.text();
    info.subnets.push_back(std::move(wish));
  }
  auto add = [&](std::optional<Side>& to, const Prefix& prefix) {
    to = Side{.subnet = prefix, .range = prefix, .gateway = after(prefix.address)};
    info.subnets.push_back({.subnet = prefix.text(), .gateway = to->gateway.text()});
  };
  if (info.enable_ipv4 && !network.v4) add(network.v4, TRY(choose_v4(taken)));
  if (info.enable_ipv6 && !network.v6) add(network.v6, choose_v6(taken));
  return {};
}

// --- the whole -------------------------------------------------------------------------------------------------------

static Result<void> check_name(const std::string& name) {
  bool good = !name.empty() && name.size() <= 255 && (isalnum(static_cast<unsigned char>(name[0])) || name[0] == '_') &&
              std::ranges::all_of(
                  name, [](char c) { return isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.' || c == '-' || c == ' '; });
  if (good && trim(name) == name) return {};
  return fail(Code::invalid, "invalid network name " + quoted(name) + ": only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed");
}

static Result<void> check_driver(const std::string& driver) {
  if (driver == "bridge") return {};
  if (driver == "host" || driver == "null") return fail(Code::forbidden, "only one instance of \"" + driver + "\" network is allowed");
  if (driver == "overlay")
    return fail(Code::unavailable,
                "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and "
                "try again.");
  if (driver == "macvlan" || driver == "ipvlan")
    return fail(Code::invalid, "the network driver " + driver + " is not offered by this engine: use bridge");
  return fail(Code::not_found, "could not find plugin " + driver + " in v1 plugin registry: plugin not found");
}

Result<Network> plan_network(NetworkSpec spec, const std::vector<const Network*>& networks, const std::vector<Prefix>& taken) {
  if (spec.driver.empty() || spec.driver == "default") spec.driver = "bridge";
  for (const char* name : {"bridge", "host", "none", "default"})
    if (spec.name == name) return fail(Code::forbidden, "operation is not permitted on predefined " + spec.name + " network");
  TRY(check_name(spec.name));
  for (const Network* other : networks)
    if (other->info.name == spec.name) return fail(Code::conflict, "network with name " + spec.name + " already exists");
  TRY(check_driver(spec.driver));
  if (spec.ipam_driver != "default" && !spec.ipam_driver.empty())
    return fail(Code::not_found, "could not find IPAM driver " + spec.ipam_driver + ": use default");
  if (!spec.enable_ipv4 && !spec.enable_ipv6) return fail(Code::invalid, "IPv4 or IPv6 must be enabled");
  Network network;
  static_cast<NetworkSpec&>(network.info) = std::move(spec);
  network.info.ipam_driver = "default";
  network.info.id = hex_encode(random_bytes(32));
  network.info.link = "br-" + network.info.id.substr(0, 12);
  TRY(apply_options(network));
  for (const Network* other : networks)
    if (other->info.link == network.info.link)
      return fail(Code::forbidden, "network " + other->info.name + " already has the bridge " + network.info.link);
  TRY(plan_subnets(network, networks, taken));
  return network;
}

}  // namespace estiba::network::bridge
