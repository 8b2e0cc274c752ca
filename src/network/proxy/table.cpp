#include "network/proxy/table.h"

#include <linux/rtnetlink.h>
#include <net/if.h>

namespace estiba::network {

using namespace os::nft;

static const Set kServices{.name = "services", .key_type = type_ipv4 << 12 | type_proto << 6 | type_port, .key_size = 12, .verdicts = true};
static const Set kBackends{.name = "backends",
                           .key_type = type_ipv4 << 18 | type_proto << 12 | type_port << 6 | type_mark,
                           .key_size = 16,
                           .data_type = type_ipv4 << 6 | type_port,
                           .data_size = 8};
static const Set kInside{.name = "inside", .key_type = kServices.key_type, .key_size = 12, .verdicts = true};
static const Set kFenced{.name = "fenced", .key_type = kServices.key_type, .key_size = 12, .verdicts = true};
static const Set kRefused{.name = "refused", .key_type = kServices.key_type, .key_size = 12, .verdicts = true};
static const Set kSelf{.name = "self", .key_type = type_ipv4 << 6 | type_ipv4, .key_size = 8};
static const Set kClients{.name = "clients",
                          .key_type = type_ipv4 << 18 | type_ipv4 << 12 | type_proto << 6 | type_port,
                          .key_size = 16,
                          .data_type = type_ipv4 << 6 | type_port,
                          .data_size = 8,
                          .timeouts = true};
static const Set kKept{
    .name = "kept", .key_type = type_ipv4 << 24 | type_proto << 18 | type_port << 12 | type_ipv4 << 6 | type_port, .key_size = 20};

// Marks a packet to be masqueraded on its way out; the bit that kube-proxy uses for the same.
static constexpr uint32_t kMasqueradeMark = 0x4000;

static std::string host32(uint32_t value) { return std::string(reinterpret_cast<const char*>(&value), 4); }
static std::string net32(uint32_t value) { return host32(__builtin_bswap32(value)); }
static std::string net16(uint16_t value) { return {char(value >> 8), char(value)}; }
static std::string mask_of(const Prefix& prefix) { return net32(prefix.length ? ~uint32_t(0) << (32 - prefix.length) : 0); }
static std::string device(std::string_view name) {
  std::string padded(name);
  padded.resize(IFNAMSIZ);
  return padded;
}

static std::string key(const Front& front) {
  return net32(front.address) + std::string{char(front.protocol), 0, 0, 0} + net16(front.port) + std::string(2, '\0');
}
static std::string key(const Slot& slot) { return key(slot.first) + host32(slot.second); }
static std::string key(uint32_t pod) { return net32(pod) + net32(pod); }
static std::string data(const Backend& backend) { return net32(backend.address) + net16(backend.port) + std::string(2, '\0'); }
static std::string key(const Lead& lead) { return key(lead.first) + data(lead.second); }

static const Verdict kReject{Verdict::Kind::go_to, "reject"};

// What the packet is for, into r0 … r2: its own destination, or any of the node's.
static Rule& load_front(Rule& rule, bool any_address) {
  if (any_address) rule.load_value(0, net32(0));
  else rule.load_ip_destination(0);
  return rule.load_protocol(1).load_port_destination(2);
}
static Rule& load_front(Rule&& rule, bool any_address) { return load_front(rule, any_address); }
// Which of a front's backends.
static Rule& load_choice(Rule& rule, const Pick& pick, int reg) {
  const uint32_t first = pick.part == Pick::Part::inside ? first_inside : 0;
  return pick.count == 1 ? rule.load_value(reg, host32(first)) : rule.load_random(reg, pick.count, first);
}

Result<bool> ProxyTable::exists(os::netlink::Socket& socket) { return table_exists(socket, Family::ip, name); }

Transaction ProxyTable::remove() {
  Transaction tx(Family::ip, ProxyTable::name);
  tx.add_table();
  tx.delete_table();
  return tx;
}

void ProxyTable::keep_clients(Transaction& tx, os::netlink::Socket& socket) {
  auto clients = list_elements(socket, Family::ip, name, kClients.name);
  if (!clients) return;  // there is no such table
  std::erase_if(*clients, [](const Element& client) { return client.timeout_ms == 0 || client.expires_ms == 0; });
  tx.add_elements(kClients, *clients);
}

Transaction ProxyTable::replace(const Change& whole) {
  Transaction tx = remove();
  tx.add_table();
  for (const Set* set : {&kServices, &kBackends, &kInside, &kFenced, &kRefused, &kSelf, &kClients, &kKept}) tx.add_set(*set);
  put_hooks(tx);
  put_service_rules(tx);
  put_masquerade_rules(tx);
  put_reject_rules(tx);
  chains_.clear();
  apply(tx, whole);
  return tx;
}

Transaction ProxyTable::update(const Change& change) {
  Transaction tx(Family::ip, ProxyTable::name);
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
    load_front(Rule(tx, chain).load_ct_state(0).and_xor(0, host32(8), host32(0)).differs(0, host32(0)), false).verdict_map(kFenced, 0);
  const Verdict services{Verdict::Kind::jump, "services"}, refuse{Verdict::Kind::jump, "refuse"};
  for (const char* chain : {"in", "out"}) Rule(tx, chain).verdict(services);
  for (const char* chain : {"refuse_input", "refuse_forward", "refuse_output"}) Rule(tx, chain).verdict(refuse);
  // route_localnet is on for the bridge, for node ports at 127.0.0.1. A pod must not reach what listens there.
  Rule(tx, "raw")
      .load_input_name(0)
      .equal(0, device(config_.bridge))
      .load_ip_destination(4)
      .and_xor(4, net32(0xff000000), net32(0))
      .equal(4, net32(0x7f000000))
      .verdict({Verdict::Kind::drop, {}});
}

void ProxyTable::put_service_rules(Transaction& tx) const {
  load_front(Rule(tx, "services"), false).verdict_map(kServices, 0);
  // The cluster's DNS answers on the node, but is not the node: no hostPort 53 may take its place.
  Rule any(tx, "services");
  any.load_ip_destination(0).differs(0, config_.dns.raw()).load_destination_type(0).equal(0, host32(RTN_LOCAL));
  load_front(any, true).verdict_map(kServices, 0);
}

void ProxyTable::put_masquerade_rules(Transaction& tx) const {
  std::string bit = host32(kMasqueradeMark);
  Rule(tx, "post").load_mark(0).and_xor(0, bit, host32(0)).equal(0, bit).masquerade();
  Rule(tx, "post").load_ip_source(0).load_ip_destination(1).in_set(kSelf, 0).masquerade();
  // A client at 127.0.0.1 that was led to a pod.
  Rule(tx, "post")
      .load_ip_source(0)
      .and_xor(0, net32(0xff000000), net32(0))
      .equal(0, net32(0x7f000000))
      .load_output_name(4)
      .differs(4, device("lo"))
      .masquerade();
  Rule(tx, "post")
      .load_ip_source(0)
      .and_xor(0, mask_of(config_.pod_cidr), net32(0))
      .equal(0, config_.pod_cidr.address.raw())
      .load_ip_destination(0)
      .and_xor(0, mask_of(config_.cluster_cidr), net32(0))
      .differs(0, config_.cluster_cidr.address.raw())
      .load_output_name(4)
      .differs(4, device(config_.bridge))
      .masquerade();
}

void ProxyTable::put_reject_rules(Transaction& tx) const {
  tx.add_chain("reject");
  Rule(tx, "reject").load_protocol(0).equal(0, std::string(1, char(Protocol::tcp))).reject_with_reset();
  Rule(tx, "reject").reject_port_unreachable();
  // Nearly every packet is of a connection that goes on.
  Rule(tx, "refuse").load_ct_state(0).and_xor(0, host32(2 | 4), host32(0)).differs(0, host32(0)).verdict({Verdict::Kind::accept, {}});
  load_front(Rule(tx, "refuse"), false).verdict_map(kRefused, 0);
  {
    Rule any(tx, "refuse");
    any.load_destination_type(0).equal(0, host32(RTN_LOCAL));
    load_front(any, true).verdict_map(kRefused, 0);
  }
  // What is left with a service's address was led nowhere: no such service, or no such port.
  Rule(tx, "refuse")
      .load_ip_destination(0)
      .and_xor(0, mask_of(config_.service_cidr), net32(0))
      .equal(0, config_.service_cidr.address.raw())
      .load_destination_type(0)
      .differs(0, host32(RTN_LOCAL))
      .verdict(kReject);
}

// A client is remembered with its backend at each new connection. Known, it goes on to it if that is still one; else another is picked.
void ProxyTable::put_sticky_pick(Transaction& tx, const Pick& pick) {
  const std::string chain = pick.chain();
  const uint64_t timeout = uint64_t(pick.affinity) * 1000;
  // Client and front in r0 … r3, the backend in r4 and r5.
  auto load = [&](Rule& rule) -> Rule& {
    rule.load_ip_source(0);
    if (pick.any_address) rule.load_value(1, net32(0));
    else rule.load_ip_destination(1);
    return rule.load_protocol(2).load_port_destination(3);
  };
  {
    Rule known(tx, chain);
    load(known).map(kClients, 0, 4).in_set(kKept, 1).remember(kClients, 0, 4, timeout).dnat(4, 5);
  }
  // Once more without being remembered, for the case that more clients are remembered than there is room for.
  for (bool remembered : {true, false}) {
    Rule other(tx, chain);
    load(other);
    if (remembered) other.load_value(4, std::string(8, '\0')).forget(kClients, 0, 4);
    load_choice(other, pick, 4).map(kBackends, 1, 4);
    if (remembered) other.remember(kClients, 0, 4, timeout);
    other.dnat(4, 5);
  }
}

// Pods, and the node itself, are led elsewhere than those who come from outside. The node is masqueraded: the address that it would
// be known by is the one it sends to.
void ProxyTable::put_inside(Transaction& tx, const Pick& pick) const {
  const std::string chain = pick.chain(), bit = host32(kMasqueradeMark);
  {
    Rule pod(tx, chain);
    pod.load_ip_source(0).and_xor(0, mask_of(config_.cluster_cidr), net32(0)).equal(0, config_.cluster_cidr.address.raw());
    load_front(pod, pick.any_address).verdict_map(kInside, 0);
  }
  Rule(tx, chain).load_source_type(0).equal(0, host32(RTN_LOCAL)).load_mark(0).and_xor(0, host32(~kMasqueradeMark), bit).set_mark(0);
  Rule node(tx, chain);
  node.load_source_type(0).equal(0, host32(RTN_LOCAL));
  load_front(node, pick.any_address).verdict_map(kInside, 0);
}

void ProxyTable::put_pick(Transaction& tx, const Pick& pick) const {
  std::string chain = pick.chain(), bit = host32(kMasqueradeMark);
  tx.add_chain(chain);
  if (pick.part == Pick::Part::outside) put_inside(tx, pick);
  if (pick.count == 0) return;
  if (pick.masquerade) Rule(tx, chain).load_mark(0).and_xor(0, host32(~kMasqueradeMark), bit).set_mark(0);
  if (pick.affinity) return put_sticky_pick(tx, pick);
  Rule rule(tx, chain);
  load_choice(load_front(rule, pick.any_address), pick, 3).map(kBackends, 0, 4).dnat(4, 5);
}

void ProxyTable::put_fence(Transaction& tx, const std::string& chain, const std::vector<Prefix>& allowed) {
  tx.add_chain(chain);
  for (const Prefix& range : allowed)
    Rule(tx, chain)
        .load_ip_source(0)
        .and_xor(0, mask_of(range), net32(0))
        .equal(0, range.address.raw())
        .verdict({Verdict::Kind::accept, {}});
  Rule(tx, chain).verdict({Verdict::Kind::drop, {}});
}

template <class Changes, class F>
static void put_changes(Transaction& tx, const Set& set, const Changes& changes, F fill) {
  auto elements = [&](const auto& list) {
    std::vector<Element> elements;
    elements.reserve(list.size());
    for (const auto& [k, v] : list) {
      Element element{.key = key(k)};
      fill(element, v);
      elements.push_back(std::move(element));
    }
    return elements;
  };
  tx.delete_elements(set, elements(changes.removed));
  tx.add_elements(set, elements(changes.added));
}

void ProxyTable::apply(Transaction& tx, const Change& change) {
  for (const auto& [front, pick] : change.picks.added)
    if (chains_.insert(pick).second) put_pick(tx, pick);
  for (const auto& [front, pick] : change.inside.added)
    if (chains_.insert(pick).second) put_pick(tx, pick);
  for (const auto& [chain, sources] : change.allowed.added) put_fence(tx, chain, sources);
  put_changes(tx, kBackends, change.backends, [](Element& element, const Backend& backend) { element.data = data(backend); });
  const auto go_to = [](Element& element, const Pick& pick) { element.verdict = {Verdict::Kind::go_to, pick.chain()}; };
  put_changes(tx, kServices, change.picks, go_to);
  put_changes(tx, kInside, change.inside, go_to);
  put_changes(tx, kFenced, change.fences,
              [](Element& element, const std::string& chain) { element.verdict = {Verdict::Kind::go_to, chain}; });
  put_changes(tx, kRefused, change.refused,
              [](Element& element, bool drops) { element.verdict = drops ? Verdict{Verdict::Kind::drop, {}} : kReject; });
  put_changes(tx, kKept, change.kept, [](Element&, Nothing) {});
  put_changes(tx, kSelf, change.pods, [](Element&, Nothing) {});
  for (const auto& [chain, sources] : change.allowed.removed) tx.delete_chain(chain);
}

}  // namespace estiba::network
