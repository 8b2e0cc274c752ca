#include "network/proxy/table.h"

#include <linux/rtnetlink.h>
#include <net/if.h>

#include "network/nft_family.h"

namespace estiba::network {

using namespace os::nft;

namespace {

// The sets of one family's table.
struct Sets {
  Set services, backends, inside, fenced, refused, self, clients, kept;

  explicit Sets(const NftFamily& f) {
    const uint32_t front = f.type << 12 | type_proto << 6 | type_port, backend = f.type << 6 | type_port;
    services = {.name = "services", .key_type = front, .key_size = f.size + 8, .verdicts = true};
    inside = fenced = refused = services;
    inside.name = "inside";
    fenced.name = "fenced";
    refused.name = "refused";
    backends = {
        .name = "backends", .key_type = front << 6 | type_mark, .key_size = f.size + 12, .data_type = backend, .data_size = f.size + 4};
    self = {.name = "self", .key_type = f.type << 6 | f.type, .key_size = 2 * f.size};
    clients = {.name = "clients",
               .key_type = f.type << 18 | front,
               .key_size = 2 * f.size + 8,
               .data_type = backend,
               .data_size = f.size + 4,
               .timeouts = true};
    kept = {.name = "kept", .key_type = front << 12 | backend, .key_size = 2 * f.size + 12};
  }
};

const Sets& sets(const NftFamily& family) {
  static const Sets four(NftFamily::of(false)), six(NftFamily::of(true));
  return family.v6 ? six : four;
}

// Marks a packet to be masqueraded on its way out; the bit that kube-proxy uses for the same.
constexpr uint32_t kMasqueradeMark = 0x4000;

std::string host32(uint32_t value) { return std::string(reinterpret_cast<const char*>(&value), 4); }
std::string net16(uint16_t value) { return {char(value >> 8), char(value)}; }
std::string device(std::string_view name) {
  std::string padded(name);
  padded.resize(IFNAMSIZ);
  return padded;
}

std::string key(const Front& front) {
  return std::string(front.address.raw()) + std::string{char(front.protocol), 0, 0, 0} + net16(front.port) + std::string(2, '\0');
}
std::string key(const Slot& slot) { return key(slot.first) + host32(slot.second); }
std::string key(const Address& pod) { return std::string(pod.raw()) + std::string(pod.raw()); }
std::string data(const Backend& backend) { return std::string(backend.address.raw()) + net16(backend.port) + std::string(2, '\0'); }
std::string key(const Lead& lead) { return key(lead.first) + data(lead.second); }

const Verdict kReject{Verdict::Kind::go_to, "reject"};

// What the packet is for, from r0 on: its own destination, or any of the node's. It takes the words of an address and two more.
Rule& load_front(Rule& rule, const NftFamily& f, bool any_address) {
  if (any_address) rule.load_value(0, f.zero());
  else f.load_destination(rule, 0);
  return rule.load_protocol(f.words).load_port_destination(f.words + 1);
}
Rule& load_front(Rule&& rule, const NftFamily& f, bool any_address) { return load_front(rule, f, any_address); }
// Which of a front's backends.
Rule& load_choice(Rule& rule, const Pick& pick, int reg) {
  const uint32_t first = pick.part == Pick::Part::inside ? first_inside : 0;
  return pick.count == 1 ? rule.load_value(reg, host32(first)) : rule.load_random(reg, pick.count, first);
}

}  // namespace

Result<bool> ProxyTable::exists(os::netlink::Socket& socket, bool v6) { return table_exists(socket, NftFamily::of(v6).table, name); }

Transaction ProxyTable::remove(bool v6) {
  Transaction tx(NftFamily::of(v6).table, ProxyTable::name);
  tx.add_table();
  tx.delete_table();
  return tx;
}

void ProxyTable::keep_clients(Transaction& tx, os::netlink::Socket& socket) const {
  auto clients = list_elements(socket, f_.table, name, sets(f_).clients.name);
  if (!clients) return;  // there is no such table
  std::erase_if(*clients, [](const Element& client) { return client.timeout_ms == 0 || client.expires_ms == 0; });
  tx.add_elements(sets(f_).clients, *clients);
}

Transaction ProxyTable::replace(const Change& whole) {
  Transaction tx = remove(f_.v6);
  tx.add_table();
  const Sets& s = sets(f_);
  for (const Set* set : {&s.services, &s.backends, &s.inside, &s.fenced, &s.refused, &s.self, &s.clients, &s.kept}) tx.add_set(*set);
  put_hooks(tx);
  put_service_rules(tx);
  put_masquerade_rules(tx);
  put_reject_rules(tx);
  chains_.clear();
  apply(tx, whole);
  return tx;
}

Transaction ProxyTable::update(const Change& change) {
  Transaction tx(f_.table, ProxyTable::name);
  apply(tx, change);
  return tx;
}

void ProxyTable::put_hooks(Transaction& tx) const {
  tx.add_chain("services");
  tx.add_chain("refuse");
  // The priorities are nft(8)'s raw, dstnat, filter and srcnat.
  tx.add_base_chain("raw", "filter", Hook::prerouting, -300);
  tx.add_base_chain("fence_in", "filter", Hook::prerouting, -110);
  tx.add_base_chain("fence_out", "filter", Hook::output, -110);
  tx.add_base_chain("in", "nat", Hook::prerouting, -100);
  tx.add_base_chain("out", "nat", Hook::output, -100);
  tx.add_base_chain("post", "nat", Hook::postrouting, 100);
  tx.add_base_chain("refuse_input", "filter", Hook::input, 0);
  tx.add_base_chain("refuse_forward", "filter", Hook::forward, 0);
  tx.add_base_chain("refuse_output", "filter", Hook::output, 0);
  // Before the address is translated; only the first packet of a connection is looked at.
  for (const char* chain : {"fence_in", "fence_out"})
    load_front(Rule(tx, chain).load_ct_state(0).and_xor(0, host32(8), host32(0)).differs(0, host32(0)), f_, false)
        .verdict_map(sets(f_).fenced, 0);
  const Verdict services{Verdict::Kind::jump, "services"}, refuse{Verdict::Kind::jump, "refuse"};
  for (const char* chain : {"in", "out"}) Rule(tx, chain).verdict(services);
  // Who looks whether a load balancer's address is still there asks the address itself, which is on no link: network/announce/ answers. No
  // router passes such a question on (RFC 4861, section 7.1.1).
  if (f_.v6)
    Rule(tx, "refuse_forward")
        .load_protocol(0)
        .equal(0, std::string(1, char(f_.icmp)))
        .payload(2, 0, 1, 0)
        .equal(0, "\x87")
        .verdict({Verdict::Kind::drop, {}});
  for (const char* chain : {"refuse_input", "refuse_forward", "refuse_output"}) Rule(tx, chain).verdict(refuse);
  if (f_.v6) return;  // ::1 on a wire is refused by the kernel
  // route_localnet is on for the bridge, for node ports at 127.0.0.1. A pod must not reach what listens there.
  Rule raw(tx, "raw");
  raw.load_input_name(0);
  if (config_.bridge.empty()) raw.differs(0, device("lo"));
  else raw.equal(0, device(config_.bridge));
  f_.within(f_.load_destination(raw, 4), 4, loopback()).verdict({Verdict::Kind::drop, {}});
}

Prefix ProxyTable::loopback() const {
  if (!f_.v6) return {Address::from_number(0x7f000000), 8};
  return {Address::from_value(1, true), 128};
}

void ProxyTable::put_service_rules(Transaction& tx) const {
  load_front(Rule(tx, "services"), f_, false).verdict_map(sets(f_).services, 0);
  // The cluster's DNS answers on the node, but is not the node: no hostPort 53 may take its place.
  Rule any(tx, "services");
  if (config_.side.dns) f_.load_destination(any, 0).differs(0, config_.side.dns->raw());
  // The kernel takes no answer for ::1 from a link, and knows no way around that as route_localnet is for IPv4.
  if (f_.v6) f_.load_destination(any, 0).differs(0, loopback().address.raw());
  any.load_destination_type(0).equal(0, host32(RTN_LOCAL));
  load_front(any, f_, true).verdict_map(sets(f_).services, 0);
}

void ProxyTable::put_masquerade_rules(Transaction& tx) const {
  std::string bit = host32(kMasqueradeMark);
  Rule(tx, "post").load_mark(0).and_xor(0, bit, host32(0)).equal(0, bit).masquerade();
  {
    Rule self(tx, "post");
    f_.load_destination(f_.load_source(self, 0), f_.words).in_set(sets(f_).self, 0).masquerade();
  }
  if (!f_.v6) {
    // A client at the loopback address that was led to a pod.
    Rule local(tx, "post");
    f_.within(f_.load_source(local, 0), 0, loopback()).load_output_name(4).differs(4, device("lo")).masquerade();
  }
  if (config_.bridge.empty()) return;
  Rule out(tx, "post");
  f_.within(f_.load_source(out, 0), 0, config_.side.pods);
  f_.outside(f_.load_destination(out, 0), 0, config_.side.cluster);
  out.load_output_name(4).differs(4, device(config_.bridge)).masquerade();
}

void ProxyTable::put_reject_rules(Transaction& tx) const {
  tx.add_chain("reject");
  Rule(tx, "reject").load_protocol(0).equal(0, std::string(1, char(Protocol::tcp))).reject_with_reset();
  Rule(tx, "reject").reject_port_unreachable();
  // Nearly every packet is of a connection that goes on.
  Rule(tx, "refuse").load_ct_state(0).and_xor(0, host32(2 | 4), host32(0)).differs(0, host32(0)).verdict({Verdict::Kind::accept, {}});
  load_front(Rule(tx, "refuse"), f_, false).verdict_map(sets(f_).refused, 0);
  {
    Rule rest(tx, "refuse");
    f_.load_destination(rest, 0).load_value(f_.words, host32(0)).load_value(f_.words + 1, host32(0)).verdict_map(sets(f_).refused, 0);
  }
  {
    Rule any(tx, "refuse");
    any.load_destination_type(0).equal(0, host32(RTN_LOCAL));
    load_front(any, f_, true).verdict_map(sets(f_).refused, 0);
  }
  if (!config_.side.services) return;
  // What is left with a service's address was led nowhere: no such service, or no such port.
  Rule nowhere(tx, "refuse");
  f_.within(f_.load_destination(nowhere, 0), 0, *config_.side.services)
      .load_destination_type(0)
      .differs(0, host32(RTN_LOCAL))
      .verdict(kReject);
}

// A client is remembered with its backend at each new connection. Known, it goes on to it if that is still one; else another is picked.
void ProxyTable::put_sticky_pick(Transaction& tx, const Pick& pick) const {
  const Sets& s = sets(f_);
  const std::string chain = pick.chain();
  const uint64_t timeout = uint64_t(pick.affinity) * 1000;
  // Client and front from r0 on, the backend behind them.
  const int front = f_.words, address = 2 * f_.words + 2, port = address + f_.words;
  auto load = [&](Rule& rule) -> Rule& {
    f_.load_source(rule, 0);
    if (pick.any_address) rule.load_value(front, f_.zero());
    else f_.load_destination(rule, front);
    return rule.load_protocol(front + f_.words).load_port_destination(front + f_.words + 1);
  };
  {
    Rule known(tx, chain);
    load(known).map(s.clients, 0, address).in_set(s.kept, front).remember(s.clients, 0, address, timeout).dnat(address, port);
  }
  // Once more without being remembered, for the case that more clients are remembered than there is room for.
  for (bool remembered : {true, false}) {
    Rule other(tx, chain);
    load(other);
    if (remembered) other.load_value(address, f_.zero()).load_value(port, host32(0)).forget(s.clients, 0, address);
    load_choice(other, pick, address).map(s.backends, front, address);
    if (remembered) other.remember(s.clients, 0, address, timeout);
    other.dnat(address, port);
  }
}

// Pods, and the node itself, are led elsewhere than those who come from outside. The node is masqueraded: the address that it would
// be known by is the one it sends to.
void ProxyTable::put_inside(Transaction& tx, const Pick& pick) const {
  const std::string chain = pick.chain(), bit = host32(kMasqueradeMark);
  {
    Rule pod(tx, chain);
    f_.within(f_.load_source(pod, 0), 0, config_.side.cluster);
    load_front(pod, f_, pick.any_address).verdict_map(sets(f_).inside, 0);
  }
  Rule(tx, chain).load_source_type(0).equal(0, host32(RTN_LOCAL)).load_mark(0).and_xor(0, host32(~kMasqueradeMark), bit).set_mark(0);
  Rule node(tx, chain);
  node.load_source_type(0).equal(0, host32(RTN_LOCAL));
  load_front(node, f_, pick.any_address).verdict_map(sets(f_).inside, 0);
}

void ProxyTable::put_pick(Transaction& tx, const Pick& pick) const {
  std::string chain = pick.chain(), bit = host32(kMasqueradeMark);
  tx.add_chain(chain);
  if (pick.part == Pick::Part::outside) put_inside(tx, pick);
  if (pick.count == 0) return;
  if (pick.masquerade) Rule(tx, chain).load_mark(0).and_xor(0, host32(~kMasqueradeMark), bit).set_mark(0);
  if (pick.affinity) return put_sticky_pick(tx, pick);
  Rule rule(tx, chain);
  // The choice completes the key; what is found follows it.
  const int choice = f_.words + 2, address = choice + 1;
  load_choice(load_front(rule, f_, pick.any_address), pick, choice).map(sets(f_).backends, 0, address).dnat(address, address + f_.words);
}

void ProxyTable::put_fence(Transaction& tx, const std::string& chain, const std::vector<Prefix>& allowed) const {
  tx.add_chain(chain);
  for (const Prefix& range : allowed) {
    Rule rule(tx, chain);
    f_.within(f_.load_source(rule, 0), 0, range).verdict({Verdict::Kind::accept, {}});
  }
  Rule(tx, chain).verdict({Verdict::Kind::drop, {}});
}

// A piece at a time: all elements of a large cluster at once, beside the message that they become, would be the most memory the node ever
// takes for its services.
template <class List, class F, class G>
static void in_pieces(const List& list, F fill, G put) {
  constexpr size_t piece = 512;
  std::vector<Element> elements;
  for (size_t at = 0; at < list.size(); at += piece) {
    elements.clear();
    for (size_t i = at; i < std::min(at + piece, list.size()); ++i) {
      Element element{.key = key(list[i].first)};
      fill(element, list[i].second);
      elements.push_back(std::move(element));
    }
    put(elements);
  }
}

template <class Changes, class F>
static void put_changes(Transaction& tx, const Set& set, const Changes& changes, F fill) {
  in_pieces(changes.removed, fill, [&](const std::vector<Element>& elements) { tx.delete_elements(set, elements); });
  in_pieces(changes.added, fill, [&](const std::vector<Element>& elements) { tx.add_elements(set, elements); });
}

void ProxyTable::apply(Transaction& tx, const Change& change) {
  for (const auto& [front, pick] : change.picks.added)
    if (chains_.insert(pick).second) put_pick(tx, pick);
  for (const auto& [front, pick] : change.inside.added)
    if (chains_.insert(pick).second) put_pick(tx, pick);
  for (const auto& [chain, sources] : change.allowed.added) put_fence(tx, chain, sources);
  put_changes(tx, sets(f_).backends, change.backends, [](Element& element, const Backend& backend) { element.data = data(backend); });
  const auto go_to = [](Element& element, const Pick& pick) { element.verdict = {Verdict::Kind::go_to, pick.chain()}; };
  put_changes(tx, sets(f_).services, change.picks, go_to);
  put_changes(tx, sets(f_).inside, change.inside, go_to);
  put_changes(tx, sets(f_).fenced, change.fences,
              [](Element& element, const std::string& chain) { element.verdict = {Verdict::Kind::go_to, chain}; });
  put_changes(tx, sets(f_).refused, change.refused,
              [](Element& element, bool drops) { element.verdict = drops ? Verdict{Verdict::Kind::drop, {}} : kReject; });
  put_changes(tx, sets(f_).kept, change.kept, [](Element&, Nothing) {});
  put_changes(tx, sets(f_).self, change.pods, [](Element&, Nothing) {});
  for (const auto& [chain, sources] : change.allowed.removed) tx.delete_chain(chain);
}

}  // namespace estiba::network
