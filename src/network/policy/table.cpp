#include "network/policy/table.h"

#include <net/if.h>

#include "network/pod_network.h"

namespace estiba::network::policy {

using namespace os::nft;
using Line = os::nft::Rule;  // a Rule of this namespace is one of a policy

static constexpr uint64_t kDeniedMs = 600'000;

namespace {

// The sets of one family's table that are always there.
struct Sets {
  Set egress, ingress, self, denied;

  explicit Sets(const NftFamily& f) {
    egress = ingress = {.name = "egress", .key_type = f.type, .key_size = f.size, .verdicts = true};
    ingress.name = "ingress";
    self = {.name = "self", .key_type = f.type << 6 | f.type, .key_size = 2 * f.size};
    // Source . destination . protocol . port . direction; nft(8) has no name for the last and prints it as a mark.
    denied = {.name = "denied",
              .key_type = (((f.type << 6 | f.type) << 6 | type_proto) << 6 | type_port) << 6 | type_mark,
              .key_size = 2 * f.size + 12,
              .timeouts = true,
              .most = 8192};
  }
};

const Sets& sets(const NftFamily& family) {
  static const Sets four(NftFamily::of(false)), six(NftFamily::of(true));
  return family.v6 ? six : four;
}

}  // namespace

static constexpr uint32_t kRelated = 4;    // NF_CT_STATE_BIT(IP_CT_RELATED)
static const std::string kReply(1, '\1');  // IP_CT_DIR_REPLY

static const Verdict kAccept{Verdict::Kind::accept, {}}, kDrop{Verdict::Kind::drop, {}};
// An allowed packet of an isolated sender goes on to whom it is for.
static const Verdict kToReceiver{Verdict::Kind::go_to, "receiver"};

static std::string host32(uint32_t value) { return std::string(reinterpret_cast<const char*>(&value), 4); }
static std::string net16(uint16_t value) { return {char(value >> 8), char(value)}; }

static Set peers_set(const NftFamily& f, uint32_t id) {
  return {.name = "peers_" + std::to_string(id), .key_type = f.type, .key_size = f.size};
}
static Set ports_set(const NftFamily& f, uint32_t id) {
  return {.name = "ports_" + std::to_string(id), .key_type = f.type << 12 | type_proto << 6 | type_port, .key_size = f.size + 8};
}
// Sets that belong to the n-th condition of a chain.
static Set blocks_set(const NftFamily& f, const std::string& chain, size_t n) {
  return {.name = chain + "_blocks_" + std::to_string(n), .key_type = f.type, .key_size = f.size, .intervals = true};
}
static Set range_set(const std::string& chain, size_t n) {
  return {.name = chain + "_ports_" + std::to_string(n), .key_type = type_port, .key_size = 2, .intervals = true};
}
static bool wants_set(const Ranges& ports) { return ports.size() > 1 || (ports.size() == 1 && ports[0].first != ports[0].last); }

static std::string denials(Direction direction) { return direction == Direction::ingress ? "denied_ingress" : "denied_egress"; }

template <class Number, class Key>
static std::vector<Element> intervals(const Spans<Number>& spans, Number greatest, Key&& key) {
  std::vector<Element> elements;
  for (const auto& span : spans) {
    elements.push_back({.key = key(span.first)});
    // Without an end it goes on to the greatest.
    if (span.last < greatest) elements.push_back({.key = key(span.last + 1), .interval_end = true});
  }
  return elements;
}

// --- policies --------------------------------------------------------------------------------------------------------

Result<bool> PolicyTable::exists(os::netlink::Socket& socket, bool v6) { return table_exists(socket, NftFamily::of(v6).table, name); }

Result<std::vector<Denied>> PolicyTable::denied(os::netlink::Socket& socket) {
  std::vector<Denied> found;
  for (const bool v6 : {false, true}) {
    const NftFamily& f = NftFamily::of(v6);
    if (!TRY(exists(socket, v6))) continue;
    for (const Element& element : TRY(list_elements(socket, f.table, name, sets(f).denied.name))) {
      const std::string_view key = element.key;
      if (key.size() != sets(f).denied.key_size) continue;
      const std::string_view rest = key.substr(2 * f.size);
      found.push_back({.source = Address::from_raw(key.substr(0, f.size)),
                       .destination = Address::from_raw(key.substr(f.size, f.size)),
                       .protocol = uint8_t(rest[0]),
                       .port = uint16_t(uint8_t(rest[4]) << 8 | uint8_t(rest[5])),
                       .direction = Direction(rest[8] & 1),
                       .packets = element.packets,
                       .bytes = element.bytes,
                       .ago_ms = kDeniedMs - std::min(kDeniedMs, element.expires_ms)});
    }
  }
  return found;
}

Transaction PolicyTable::remove(bool v6) {
  Transaction tx(NftFamily::of(v6).table, PolicyTable::name);
  tx.add_table();
  tx.delete_table();
  return tx;
}

Transaction PolicyTable::replace(const PolicyChange& whole) const {
  Transaction tx = remove(f_.v6);
  tx.add_table();
  const Sets& s = sets(f_);
  for (const Set* set : {&s.egress, &s.ingress, &s.self, &s.denied}) tx.add_set(*set);
  put_hooks(tx);
  apply(tx, whole);
  return tx;
}

Transaction PolicyTable::update(const PolicyChange& change) const {
  Transaction tx(f_.table, PolicyTable::name);
  apply(tx, change);
  return tx;
}

// Counts what is not allowed and drops it; when the set is full, it is dropped uncounted.
static void put_denials(Transaction& tx, const NftFamily& f) {
  const std::string icmp(1, char(f.icmp));
  const int protocol = 2 * f.words, port = protocol + 1;
  for (const Direction direction : {Direction::ingress, Direction::egress}) {
    const std::string chain = denials(direction), which = host32(uint32_t(direction));
    tx.add_chain(chain);
    auto count = [&](Line& rule) {
      f.load_destination(f.load_source(rule, 0), f.words).load_value(port + 1, which).count(sets(f).denied, 0, kDeniedMs);
    };
    {
      Line icmp_rule(tx, chain);
      count(icmp_rule.load_protocol(protocol).equal(protocol, icmp).load_value(port, host32(0)));
    }
    {
      Line rule(tx, chain);
      count(rule.load_protocol(protocol).differs(protocol, icmp).load_port_destination(port));
    }
    Line(tx, chain).verdict(kDrop);
  }
}

void PolicyTable::put_hooks(Transaction& tx) const {
  put_denials(tx, f_);
  tx.add_chain("receiver");
  tx.add_base_chain("forward", "filter", Hook::forward, 0);
  tx.add_base_chain("input", "filter", Hook::input, 0);
  {
    Line node(tx, "input");
    if (dns_) f_.load_destination(node, 0).differs(0, dns_->raw());
    node.verdict(kAccept);
  }
  for (const char* chain : {"input", "forward"}) {
    Line(tx, chain).load_ct_direction(0).equal(0, kReply).verdict(kAccept);
    // An ICMP error about a connection that is allowed.
    Line(tx, chain).load_ct_state(0).and_xor(0, host32(kRelated), host32(0)).differs(0, host32(0)).verdict(kAccept);
    {
      Line self(tx, chain);
      f_.load_destination(f_.load_source(self, 0), f_.words).in_set(sets(f_).self, 0).verdict(kAccept);
    }
    {
      Line sender(tx, chain);
      f_.load_source(sender, 0).verdict_map(sets(f_).egress, 0);
    }
    Line(tx, chain).verdict(kToReceiver);
  }
  {
    Line receiver(tx, "receiver");
    f_.load_destination(receiver, 0).verdict_map(sets(f_).ingress, 0);
  }
  Line(tx, "receiver").verdict(kAccept);
}

static void put_allow(Transaction& tx, const NftFamily& f, const std::string& name, const Chain& chain, size_t n) {
  const Allow& allow = chain.allows[n];
  Line rule(tx, name);
  if (allow.port == Allow::Port::named) {
    f.load_destination(rule, 0).load_protocol(f.words).load_port_destination(f.words + 1).in_set(ports_set(f, allow.named), 0);
  } else if (allow.port == Allow::Port::number) {
    rule.load_protocol(0).equal(0, std::string(1, char(allow.number.protocol)));
    const Ranges& ranges = allow.number.ranges;
    if (wants_set(ranges)) rule.load_port_destination(0).in_set(range_set(name, n), 0);
    else if (!ranges.empty()) rule.load_port_destination(0).equal(0, net16(uint16_t(ranges[0].first)));
  }
  if (allow.peer != Allow::Peer::any) {
    if (chain.direction == Direction::ingress) f.load_source(rule, 0);
    else f.load_destination(rule, 0);
    rule.in_set(allow.peer == Allow::Peer::group ? peers_set(f, allow.group) : blocks_set(f, name, n), 0);
  }
  rule.verdict(chain.direction == Direction::ingress ? kAccept : kToReceiver);
}

static void put_sets(Transaction& tx, const NftFamily& f, const std::string& name, const Chain& chain) {
  for (size_t n = 0; n < chain.allows.size(); ++n) {
    const Allow& allow = chain.allows[n];
    if (allow.peer == Allow::Peer::blocks) {
      const AddressNumber greatest = f.v6 ? ~AddressNumber(0) : ~uint32_t(0);
      tx.add_set(blocks_set(f, name, n));
      tx.add_elements(blocks_set(f, name, n), intervals(allow.blocks, greatest, [&](AddressNumber address) {
                        return std::string(Address::from_value(address, f.v6).raw());
                      }));
    }
    if (allow.port == Allow::Port::number && wants_set(allow.number.ranges)) {
      tx.add_set(range_set(name, n));
      tx.add_elements(range_set(name, n),
                      intervals(allow.number.ranges, uint32_t(65535), [](uint32_t port) { return net16(uint16_t(port)); }));
    }
  }
}

static void delete_sets(Transaction& tx, const NftFamily& f, const std::string& name, const Chain& chain) {
  for (size_t n = 0; n < chain.allows.size(); ++n) {
    const Allow& allow = chain.allows[n];
    if (allow.peer == Allow::Peer::blocks) tx.delete_set(blocks_set(f, name, n));
    if (allow.port == Allow::Port::number && wants_set(allow.number.ranges)) tx.delete_set(range_set(name, n));
  }
}

static void put_rules(Transaction& tx, const NftFamily& f, const std::string& name, const Chain& chain) {
  for (size_t n = 0; n < chain.allows.size(); ++n) put_allow(tx, f, name, chain, n);
  if (chain.parts.empty()) return;
  for (const std::string& part : chain.parts) Line(tx, name).verdict({Verdict::Kind::jump, part});
  Line(tx, name).verdict({Verdict::Kind::go_to, denials(chain.direction)});
}

static std::vector<Element> verdicts(const std::vector<std::pair<Address, std::string>>& pods) {
  std::vector<Element> elements;
  for (const auto& [address, profile] : pods)
    elements.push_back({.key = std::string(address.raw()), .verdict = {Verdict::Kind::go_to, profile}});
  return elements;
}

// One message for each set, not for each element.
static void put_members(Transaction& tx, const NftFamily& f, const PolicyChange& change, bool add) {
  std::map<uint32_t, std::vector<Element>> peers, ports;
  for (const auto& [member, nothing] : add ? change.members.added : change.members.removed)
    peers[member.first].push_back({.key = std::string(member.second.raw())});
  for (const auto& [port, nothing] : add ? change.ports.added : change.ports.removed)
    ports[port.group].push_back(
        {.key = std::string(port.address.raw()) + std::string{char(port.protocol), 0, 0, 0} + net16(port.port) + std::string(2, '\0')});
  const auto put = [&](const Set& set, const std::vector<Element>& elements) {
    if (add) tx.add_elements(set, elements);
    else tx.delete_elements(set, elements);
  };
  for (const auto& [id, elements] : peers) put(peers_set(f, id), elements);
  for (const auto& [id, elements] : ports) put(ports_set(f, id), elements);
}

static std::vector<Element> pairs(const std::vector<std::pair<Address, Nothing>>& pods) {
  std::vector<Element> elements;
  for (const auto& [address, nothing] : pods) elements.push_back({.key = std::string(address.raw()) + std::string(address.raw())});
  return elements;
}

// What is referred to comes before and goes after what refers to it.
void PolicyTable::apply(Transaction& tx, const PolicyChange& change) const {
  for (const auto& [id, nothing] : change.groups.added) tx.add_set(peers_set(f_, id));
  for (const auto& [id, nothing] : change.port_groups.added) tx.add_set(ports_set(f_, id));
  put_members(tx, f_, change, false);
  put_members(tx, f_, change, true);
  for (const auto& [name, chain] : change.chains.added) {
    tx.add_chain(name, chain.note);
    put_sets(tx, f_, name, chain);
  }
  for (const auto& [name, chain] : change.chains.added) put_rules(tx, f_, name, chain);

  tx.delete_elements(sets(f_).egress, verdicts(change.egress.removed));
  tx.add_elements(sets(f_).egress, verdicts(change.egress.added));
  tx.delete_elements(sets(f_).ingress, verdicts(change.ingress.removed));
  tx.add_elements(sets(f_).ingress, verdicts(change.ingress.added));
  tx.delete_elements(sets(f_).self, pairs(change.isolated.removed));
  tx.add_elements(sets(f_).self, pairs(change.isolated.added));

  for (const auto& [name, chain] : change.chains.removed)
    if (!chain.parts.empty()) tx.delete_chain(name);
  for (const auto& [name, chain] : change.chains.removed) {
    if (!chain.parts.empty()) continue;
    tx.delete_chain(name);
    delete_sets(tx, f_, name, chain);
  }
  for (const auto& [id, nothing] : change.groups.removed) tx.delete_set(peers_set(f_, id));
  for (const auto& [id, nothing] : change.port_groups.removed) tx.delete_set(ports_set(f_, id));
}

// --- ports of the bridge ---------------------------------------------------------------------------------------------

static Set senders_set(const NftFamily& f) {
  return {
      .name = f.v6 ? "senders6" : "senders", .key_type = f.type << 12 | type_ether << 6 | type_ifname, .key_size = f.size + 8 + IFNAMSIZ};
}
static const std::string kIpv4("\x08\x00", 2), kArp("\x08\x06", 2), kIpv6("\x86\xdd", 2);  // linux/if_ether.h

static Element sender(const Address& address, const PortTable::Sender& pod) {
  std::string port = veth_name(pod.front()), mac = mac_of(pod.front());
  port.resize(IFNAMSIZ);
  mac.resize(8);
  return {.key = std::string(address.raw()) + mac + port};
}

static void each_element(const PortTable::Sender& pod, auto&& visit) {
  for (const Address& address : pod) visit(senders_set(NftFamily::of(address.v6)), sender(address, pod));
}

Result<bool> PortTable::exists(os::netlink::Socket& socket) { return table_exists(socket, Family::bridge, name); }

Transaction PortTable::remove() {
  Transaction tx(Family::bridge, PortTable::name);
  tx.add_table();
  tx.delete_table();
  return tx;
}

Transaction PortTable::replace(const std::set<Sender>& pods) const {
  Transaction tx = remove();
  tx.add_table();
  // Before br_netfilter, which puts another receiver into a frame for a service: nft(8)'s priority dstnat of the bridge family.
  tx.add_base_chain("ports", "filter", Hook::prerouting, -300);
  Line(tx, "ports").load_input_name(0).differs(0, veth_prefix(sides_.front().pods)).verdict(kAccept);
  for (const Side& side : sides_) {
    const NftFamily& f = NftFamily::of(side.v6());
    const Set senders = senders_set(f);
    tx.add_set(senders);
    auto known = [&](Line& rule, uint32_t address_at) {
      rule.payload(1, address_at, f.size, 0).payload(0, 6, 6, f.words).load_input_name(f.words + 2).in_set(senders, 0).verdict(kAccept);
    };
    // IPv6 neighbours are entered for ever on both sides (pod_network.h): nobody solicits, and nobody may advertise.
    if (!side.v6()) {
      Line arp(tx, "ports");
      arp.payload(0, 12, 2, 0).equal(0, kArp);
      known(arp, 14);  // the sender's protocol address
    }
    Line ip(tx, "ports");
    ip.payload(0, 12, 2, 0).equal(0, side.v6() ? kIpv6 : kIpv4).payload(0, 0, 6, 0).equal(0, mac_of(sides_.front().gateway));
    known(ip, f.source);
  }
  Line(tx, "ports").verdict(kDrop);
  for (const Side& side : sides_) {
    std::vector<Element> elements;
    for (const Sender& pod : pods)
      for (const Address& address : pod)
        if (address.v6 == side.v6()) elements.push_back(sender(address, pod));
    tx.add_elements(senders_set(NftFamily::of(side.v6())), elements);
  }
  return tx;
}

Transaction PortTable::add(const Sender& pod) {
  Transaction tx(Family::bridge, PortTable::name);
  each_element(pod, [&](const Set& set, Element element) { tx.add_elements(set, {std::move(element)}); });
  return tx;
}

Transaction PortTable::drop(const Sender& pod) {
  Transaction tx(Family::bridge, PortTable::name);
  each_element(pod, [&](const Set& set, Element element) { tx.delete_elements(set, {std::move(element)}); });
  return tx;
}

}  // namespace estiba::network::policy
