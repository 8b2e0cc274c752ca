#include "network/policy/table.h"

#include <net/if.h>

#include "network/pod_network.h"

namespace estiba::network::policy {

using namespace os::nft;
using Line = os::nft::Rule;  // a Rule of this namespace is one of a policy

static const Set kEgress{.name = "egress", .key_type = type_ipv4, .key_size = 4, .verdicts = true};
static const Set kIngress{.name = "ingress", .key_type = type_ipv4, .key_size = 4, .verdicts = true};
static const Set kSelf{.name = "self", .key_type = type_ipv4 << 6 | type_ipv4, .key_size = 8};

static constexpr uint64_t kDeniedMs = 600'000;
// Source . destination . protocol . port . direction; nft(8) has no name for the last and prints it as a mark.
static const Set kDenied{.name = "denied",
                         .key_type = (((type_ipv4 << 6 | type_ipv4) << 6 | type_proto) << 6 | type_port) << 6 | type_mark,
                         .key_size = 20,
                         .timeouts = true,
                         .most = 8192};

static constexpr uint32_t kRelated = 4;    // NF_CT_STATE_BIT(IP_CT_RELATED)
static const std::string kReply(1, '\1');  // IP_CT_DIR_REPLY

static const Verdict kAccept{Verdict::Kind::accept, {}}, kDrop{Verdict::Kind::drop, {}};
// An allowed packet of an isolated sender goes on to whom it is for.
static const Verdict kToReceiver{Verdict::Kind::go_to, "receiver"};

static std::string host32(uint32_t value) { return std::string(reinterpret_cast<const char*>(&value), 4); }
static std::string net32(uint32_t value) { return host32(__builtin_bswap32(value)); }
static std::string net16(uint16_t value) { return {char(value >> 8), char(value)}; }

static Set peers_set(uint32_t id) { return {.name = "peers_" + std::to_string(id), .key_type = type_ipv4, .key_size = 4}; }
static Set ports_set(uint32_t id) {
  return {.name = "ports_" + std::to_string(id), .key_type = type_ipv4 << 12 | type_proto << 6 | type_port, .key_size = 12};
}
// Sets that belong to the n-th condition of a chain.
static Set blocks_set(const std::string& chain, size_t n) {
  return {.name = chain + "_blocks_" + std::to_string(n), .key_type = type_ipv4, .key_size = 4, .intervals = true};
}
static Set range_set(const std::string& chain, size_t n) {
  return {.name = chain + "_ports_" + std::to_string(n), .key_type = type_port, .key_size = 2, .intervals = true};
}
static bool wants_set(const Ranges& ports) { return ports.size() > 1 || (ports.size() == 1 && ports[0].first != ports[0].last); }

static std::string denials(Direction direction) { return direction == Direction::ingress ? "denied_ingress" : "denied_egress"; }

static std::vector<Element> intervals(const Ranges& ranges, uint32_t greatest, std::string (*key)(uint32_t)) {
  std::vector<Element> elements;
  for (const Range& range : ranges) {
    elements.push_back({.key = key(range.first)});
    // Without an end it goes on to the greatest.
    if (range.last < greatest) elements.push_back({.key = key(range.last + 1), .interval_end = true});
  }
  return elements;
}

// --- policies --------------------------------------------------------------------------------------------------------

Result<bool> PolicyTable::exists(os::netlink::Socket& socket) { return table_exists(socket, Family::ip, name); }

Result<std::vector<Denied>> PolicyTable::denied(os::netlink::Socket& socket) {
  std::vector<Denied> found;
  if (!TRY(exists(socket))) return found;
  for (const Element& element : TRY(list_elements(socket, Family::ip, name, kDenied.name))) {
    const std::string& key = element.key;
    if (key.size() != kDenied.key_size) continue;
    auto address = [&](size_t at) {
      Address out;
      std::copy_n(key.begin() + long(at), 4, out.bytes.begin());
      return out;
    };
    found.push_back({.source = address(0),
                     .destination = address(4),
                     .protocol = uint8_t(key[8]),
                     .port = uint16_t(uint8_t(key[12]) << 8 | uint8_t(key[13])),
                     .direction = Direction(key[16] & 1),
                     .packets = element.packets,
                     .bytes = element.bytes,
                     .ago_ms = kDeniedMs - std::min(kDeniedMs, element.expires_ms)});
  }
  return found;
}

Transaction PolicyTable::remove() {
  Transaction tx(Family::ip, PolicyTable::name);
  tx.add_table();
  tx.delete_table();
  return tx;
}

Transaction PolicyTable::replace(const PolicyChange& whole) const {
  Transaction tx = remove();
  tx.add_table();
  for (const Set* set : {&kEgress, &kIngress, &kSelf, &kDenied}) tx.add_set(*set);
  put_hooks(tx);
  apply(tx, whole);
  return tx;
}

Transaction PolicyTable::update(const PolicyChange& change) const {
  Transaction tx(Family::ip, PolicyTable::name);
  apply(tx, change);
  return tx;
}

// Counts what is not allowed and drops it; when the set is full, it is dropped uncounted.
static void put_denials(Transaction& tx) {
  static const std::string icmp(1, '\1');
  for (const Direction direction : {Direction::ingress, Direction::egress}) {
    const std::string chain = denials(direction), which = host32(uint32_t(direction));
    tx.add_chain(chain);
    auto count = [&](Line& rule) { rule.load_ip_source(0).load_ip_destination(1).load_value(4, which).count(kDenied, 0, kDeniedMs); };
    {
      Line icmp_rule(tx, chain);
      count(icmp_rule.load_protocol(2).equal(2, icmp).load_value(3, host32(0)));
    }
    {
      Line rule(tx, chain);
      count(rule.load_protocol(2).differs(2, icmp).load_port_destination(3));
    }
    Line(tx, chain).verdict(kDrop);
  }
}

void PolicyTable::put_hooks(Transaction& tx) const {
  put_denials(tx);
  tx.add_chain("receiver");
  tx.add_base_chain("forward", "filter", Hook::forward, 0);
  tx.add_base_chain("input", "filter", Hook::input, 0);
  Line(tx, "input").load_ip_destination(0).differs(0, config_.dns.raw()).verdict(kAccept);
  for (const char* chain : {"input", "forward"}) {
    Line(tx, chain).load_ct_direction(0).equal(0, kReply).verdict(kAccept);
    // An ICMP error about a connection that is allowed.
    Line(tx, chain).load_ct_state(0).and_xor(0, host32(kRelated), host32(0)).differs(0, host32(0)).verdict(kAccept);
    Line(tx, chain).load_ip_source(0).load_ip_destination(1).in_set(kSelf, 0).verdict(kAccept);
    Line(tx, chain).load_ip_source(0).verdict_map(kEgress, 0);
    Line(tx, chain).verdict(kToReceiver);
  }
  Line(tx, "receiver").load_ip_destination(0).verdict_map(kIngress, 0);
  Line(tx, "receiver").verdict(kAccept);
}

static void put_allow(Transaction& tx, const std::string& name, const Chain& chain, size_t n) {
  const Allow& allow = chain.allows[n];
  Line rule(tx, name);
  if (allow.port == Allow::Port::named) {
    rule.load_ip_destination(0).load_protocol(1).load_port_destination(2).in_set(ports_set(allow.named), 0);
  } else if (allow.port == Allow::Port::number) {
    rule.load_protocol(0).equal(0, std::string(1, char(allow.number.protocol)));
    const Ranges& ranges = allow.number.ranges;
    if (wants_set(ranges)) rule.load_port_destination(0).in_set(range_set(name, n), 0);
    else if (!ranges.empty()) rule.load_port_destination(0).equal(0, net16(uint16_t(ranges[0].first)));
  }
  if (allow.peer != Allow::Peer::any) {
    if (chain.direction == Direction::ingress) rule.load_ip_source(0);
    else rule.load_ip_destination(0);
    rule.in_set(allow.peer == Allow::Peer::group ? peers_set(allow.group) : blocks_set(name, n), 0);
  }
  rule.verdict(chain.direction == Direction::ingress ? kAccept : kToReceiver);
}

static void put_sets(Transaction& tx, const std::string& name, const Chain& chain) {
  for (size_t n = 0; n < chain.allows.size(); ++n) {
    const Allow& allow = chain.allows[n];
    if (allow.peer == Allow::Peer::blocks) {
      tx.add_set(blocks_set(name, n));
      tx.add_elements(blocks_set(name, n), intervals(allow.blocks, ~uint32_t(0), net32));
    }
    if (allow.port == Allow::Port::number && wants_set(allow.number.ranges)) {
      tx.add_set(range_set(name, n));
      tx.add_elements(range_set(name, n), intervals(allow.number.ranges, 65535, [](uint32_t port) { return net16(uint16_t(port)); }));
    }
  }
}

static void delete_sets(Transaction& tx, const std::string& name, const Chain& chain) {
  for (size_t n = 0; n < chain.allows.size(); ++n) {
    const Allow& allow = chain.allows[n];
    if (allow.peer == Allow::Peer::blocks) tx.delete_set(blocks_set(name, n));
    if (allow.port == Allow::Port::number && wants_set(allow.number.ranges)) tx.delete_set(range_set(name, n));
  }
}

static void put_rules(Transaction& tx, const std::string& name, const Chain& chain) {
  for (size_t n = 0; n < chain.allows.size(); ++n) put_allow(tx, name, chain, n);
  if (chain.parts.empty()) return;
  for (const std::string& part : chain.parts) Line(tx, name).verdict({Verdict::Kind::jump, part});
  Line(tx, name).verdict({Verdict::Kind::go_to, denials(chain.direction)});
}

static std::vector<Element> verdicts(const std::vector<std::pair<uint32_t, std::string>>& pods) {
  std::vector<Element> elements;
  for (const auto& [address, profile] : pods) elements.push_back({.key = net32(address), .verdict = {Verdict::Kind::go_to, profile}});
  return elements;
}

// One message for each set, not for each element.
static void put_members(Transaction& tx, const PolicyChange& change, bool add) {
  std::map<uint32_t, std::vector<Element>> peers, ports;
  for (const auto& [member, nothing] : add ? change.members.added : change.members.removed)
    peers[member.first].push_back({.key = net32(member.second)});
  for (const auto& [port, nothing] : add ? change.ports.added : change.ports.removed)
    ports[port.group].push_back(
        {.key = net32(port.address) + std::string{char(port.protocol), 0, 0, 0} + net16(port.port) + std::string(2, '\0')});
  for (const auto& [id, elements] : peers) add ? tx.add_elements(peers_set(id), elements) : tx.delete_elements(peers_set(id), elements);
  for (const auto& [id, elements] : ports) add ? tx.add_elements(ports_set(id), elements) : tx.delete_elements(ports_set(id), elements);
}

static std::vector<Element> pairs(const std::vector<std::pair<uint32_t, Nothing>>& pods) {
  std::vector<Element> elements;
  for (const auto& [address, nothing] : pods) elements.push_back({.key = net32(address) + net32(address)});
  return elements;
}

// What is referred to comes before and goes after what refers to it.
void PolicyTable::apply(Transaction& tx, const PolicyChange& change) {
  for (const auto& [id, nothing] : change.groups.added) tx.add_set(peers_set(id));
  for (const auto& [id, nothing] : change.port_groups.added) tx.add_set(ports_set(id));
  put_members(tx, change, false);
  put_members(tx, change, true);
  for (const auto& [name, chain] : change.chains.added) {
    tx.add_chain(name, chain.note);
    put_sets(tx, name, chain);
  }
  for (const auto& [name, chain] : change.chains.added) put_rules(tx, name, chain);

  tx.delete_elements(kEgress, verdicts(change.egress.removed));
  tx.add_elements(kEgress, verdicts(change.egress.added));
  tx.delete_elements(kIngress, verdicts(change.ingress.removed));
  tx.add_elements(kIngress, verdicts(change.ingress.added));
  tx.delete_elements(kSelf, pairs(change.isolated.removed));
  tx.add_elements(kSelf, pairs(change.isolated.added));

  for (const auto& [name, chain] : change.chains.removed)
    if (!chain.parts.empty()) tx.delete_chain(name);
  for (const auto& [name, chain] : change.chains.removed) {
    if (!chain.parts.empty()) continue;
    tx.delete_chain(name);
    delete_sets(tx, name, chain);
  }
  for (const auto& [id, nothing] : change.groups.removed) tx.delete_set(peers_set(id));
  for (const auto& [id, nothing] : change.port_groups.removed) tx.delete_set(ports_set(id));
}

// --- ports of the bridge ---------------------------------------------------------------------------------------------

static const Set kSenders{.name = "senders", .key_type = type_ipv4 << 12 | type_ether << 6 | type_ifname, .key_size = 4 + 8 + IFNAMSIZ};
static const std::string kIpv4("\x08\x00", 2), kArp("\x08\x06", 2);  // linux/if_ether.h

static Element sender(const Address& pod) {
  std::string port = veth_name(pod), mac = mac_of(pod);
  port.resize(IFNAMSIZ);
  mac.resize(8);
  return {.key = std::string(pod.raw()) + mac + port};
}

Result<bool> PortTable::exists(os::netlink::Socket& socket) { return table_exists(socket, Family::bridge, name); }

Transaction PortTable::remove() {
  Transaction tx(Family::bridge, PortTable::name);
  tx.add_table();
  tx.delete_table();
  return tx;
}

Transaction PortTable::replace(const std::vector<Address>& pods) const {
  Transaction tx = remove();
  tx.add_table();
  tx.add_set(kSenders);
  // Before br_netfilter, which puts another receiver into a frame for a service: nft(8)'s priority dstnat of the bridge family.
  tx.add_base_chain("ports", "filter", Hook::prerouting, -300);
  const std::string ours = veth_name(config_.pod_cidr.address).substr(0, 2 + size_t(config_.pod_cidr.length) / 8 * 2);
  Line(tx, "ports").load_input_name(0).differs(0, ours).verdict(kAccept);
  auto known = [&](Line& rule, uint32_t address_at) {
    rule.payload(1, address_at, 4, 0).payload(0, 6, 6, 1).load_input_name(3).in_set(kSenders, 0).verdict(kAccept);
  };
  {
    Line arp(tx, "ports");
    arp.payload(0, 12, 2, 0).equal(0, kArp);
    known(arp, 14);  // the sender's protocol address
  }
  {
    Line ip(tx, "ports");
    ip.payload(0, 12, 2, 0).equal(0, kIpv4).payload(0, 0, 6, 0).equal(0, mac_of(config_.gateway));
    known(ip, 12);
  }
  Line(tx, "ports").verdict(kDrop);
  std::vector<Element> elements;
  for (const Address& pod : pods) elements.push_back(sender(pod));
  tx.add_elements(kSenders, elements);
  return tx;
}

Transaction PortTable::add(const Address& pod) {
  Transaction tx(Family::bridge, PortTable::name);
  tx.add_elements(kSenders, {sender(pod)});
  return tx;
}

Transaction PortTable::drop(const Address& pod) {
  Transaction tx(Family::bridge, PortTable::name);
  tx.delete_elements(kSenders, {sender(pod)});
  return tx;
}

}  // namespace estiba::network::policy
