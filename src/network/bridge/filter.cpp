#include "network/bridge/filter.h"

#include <linux/rtnetlink.h>
#include <net/if.h>

#include <set>

namespace estiba::network::bridge {

using namespace os::nft;

static constexpr const char* kTable = "estiba_docker";
static const Set kPorts4{.name = "ports",
                         .key_type = type_ipv4 << 12 | type_proto << 6 | type_port,
                         .key_size = 12,
                         .data_type = type_ipv4 << 6 | type_port,
                         .data_size = 8};
static const Set kPorts6{.name = "ports",
                         .key_type = type_ipv6 << 12 | type_proto << 6 | type_port,
                         .key_size = 24,
                         .data_type = type_ipv6 << 6 | type_port,
                         .data_size = 20};
static constexpr uint32_t kDestinationTranslated = 1 << 5;  // IPS_DST_NAT
static constexpr uint32_t kNew = 8;                         // NF_CT_STATE_BIT(IP_CT_NEW)

static std::string host32(uint32_t value) { return std::string(reinterpret_cast<const char*>(&value), 4); }
static std::string net16(uint16_t value) { return {char(value >> 8), char(value)}; }
static std::string device(std::string_view name) {
  std::string padded(name);
  padded.resize(IFNAMSIZ);
  return padded;
}
static std::string mask_of(const Prefix& prefix) {
  std::string mask;
  for (int i = 0; i < int(prefix.address.size()); ++i) mask += char(uint8_t(0xff00 >> std::clamp(prefix.length - i * 8, 0, 8)));
  return mask;
}

// One family's table. Registers 0 … 3 hold an address of either family, 4 the protocol, 5 the port; a key is what lies in consecutive
// registers, so that an IPv4 address stands in register 3.
namespace {
class Table {
 public:
  explicit Table(Family family)
      : tx(family, kTable), v6(family == Family::ip6), ports(v6 ? kPorts6 : kPorts4), at(v6 ? 0 : 3), zero(v6 ? 16 : 4, '\0') {}

  void put(const std::vector<Filter::Bridge>& bridges);
  void elements(const std::vector<Filter::Port>& ports, bool add);

  Transaction tx;

 private:
  const Prefix* subnet_of(const Filter::Bridge& bridge) const {
    for (const Prefix& prefix : bridge.subnets)
      if (prefix.address.v6 == v6) return &prefix;
    return nullptr;
  }
  Rule& source(Rule& rule) { return v6 ? rule.payload(1, 8, 16, at) : rule.load_ip_source(at); }
  Rule& destination(Rule& rule) { return v6 ? rule.payload(1, 24, 16, at) : rule.load_ip_destination(at); }
  Rule& within(Rule& rule, const Prefix& prefix) { return rule.and_xor(at, mask_of(prefix), zero).equal(at, prefix.address.raw()); }
  void put_bridge(const Filter::Bridge& bridge, const Prefix& subnet);
  void put_forward(const Filter::Bridge& bridge);

  bool v6;
  const Set& ports;
  int at;
  std::string zero;
};

void Table::elements(const std::vector<Filter::Port>& list, bool add) {
  std::vector<Element> elements;
  for (const Filter::Port& port : list) {
    if (port.target.v6 != v6) continue;
    elements.push_back(
        {.key = std::string(port.host.raw()) + std::string{char(port.protocol), 0, 0, 0} + net16(port.host_port) + std::string(2, '\0'),
         .data = std::string(port.target.raw()) + net16(port.target_port) + std::string(2, '\0')});
  }
  if (add) tx.add_elements(ports, elements);
  else tx.delete_elements(ports, elements);
}

void Table::put(const std::vector<Filter::Bridge>& bridges) {
  tx.add_table();
  tx.add_set(ports);
  tx.add_chain("published");
  // The priorities are nft(8)'s raw, dstnat, filter and srcnat.
  tx.add_base_chain("raw", "filter", Hook::prerouting, -300);
  tx.add_base_chain("in", "nat", Hook::prerouting, -100);
  tx.add_base_chain("out", "nat", Hook::output, -100);
  tx.add_base_chain("forward", "filter", Hook::forward, 0);
  tx.add_base_chain("post", "nat", Hook::postrouting, 100);
  for (const char* chain : {"in", "out"}) Rule(tx, chain).verdict({Verdict::Kind::jump, "published"});
  {
    Rule exact(tx, "published");
    destination(exact).load_protocol(4).load_port_destination(5).map(ports, at, 6).dnat(6, v6 ? 10 : 7);
  }
  Rule(tx, "published")
      .load_destination_type(0)
      .equal(0, host32(RTN_LOCAL))
      .load_value(at, zero)
      .load_protocol(4)
      .load_port_destination(5)
      .map(ports, at, 6)
      .dnat(6, v6 ? 10 : 7);
  {
    // A client at 127.0.0.1 or ::1 that was led to a container.
    Rule loopback(tx, "post");
    within(source(loopback), *Prefix::parse(v6 ? "::1/128" : "127.0.0.0/8")).load_output_name(8).differs(8, device("lo")).masquerade();
  }
  for (const Filter::Bridge& bridge : bridges) {
    if (const Prefix* subnet = subnet_of(bridge)) put_bridge(bridge, *subnet);
    put_forward(bridge);
  }
}

void Table::put_bridge(const Filter::Bridge& bridge, const Prefix& subnet) {
  std::string link = device(bridge.link);
  if (!v6) {
    // route_localnet is on for the bridge, for ports at 127.0.0.1. A container must not reach what listens there.
    Rule rule(tx, "raw");
    rule.load_input_name(8).equal(8, link);
    within(destination(rule), *Prefix::parse("127.0.0.0/8")).verdict({Verdict::Kind::drop, {}});
  }
  // From anywhere else to a container, though not to the bridge's own address. With translation off, answers come to the containers
  // themselves, and only new connections can be told from them.
  if (bridge.protect && (bridge.masquerade || bridge.internal)) {
    Rule rule(tx, "raw");
    rule.load_input_name(8).differs(8, link);
    within(destination(rule), subnet).load_destination_type(0).differs(0, host32(RTN_LOCAL)).verdict({Verdict::Kind::drop, {}});
  } else if (bridge.protect) {
    Rule rule(tx, "forward");
    rule.load_input_name(8)
        .differs(8, link)
        .load_output_name(8)
        .equal(8, link)
        .load_ct_state(0)
        .and_xor(0, host32(kNew), host32(0))
        .differs(0, host32(0))
        .load_ct_status(0)
        .and_xor(0, host32(kDestinationTranslated), host32(0))
        .equal(0, host32(0))
        .verdict({Verdict::Kind::drop, {}});
  }
  {
    // A container that came to its neighbour by the host's address must be answered by the host.
    Rule rule(tx, "post");
    within(source(rule), subnet)
        .load_output_name(8)
        .equal(8, link)
        .load_ct_status(0)
        .and_xor(0, host32(kDestinationTranslated), host32(0))
        .differs(0, host32(0))
        .masquerade();
  }
  if (bridge.masquerade && !bridge.internal) {
    Rule rule(tx, "post");
    within(source(rule), subnet).load_output_name(8).differs(8, link).masquerade();
  }
}

void Table::put_forward(const Filter::Bridge& bridge) {
  std::string link = device(bridge.link);
  const Verdict drop{Verdict::Kind::drop, {}};
  if (bridge.internal) {
    Rule(tx, "forward").load_input_name(8).equal(8, link).load_output_name(8).differs(8, link).verdict(drop);
    Rule(tx, "forward").load_output_name(8).equal(8, link).load_input_name(8).differs(8, link).verdict(drop);
  }
  // On the bridge itself its ports are isolated (endpoints.h); this is for those who try by way of the host.
  if (!bridge.icc)
    Rule(tx, "forward")
        .load_input_name(8)
        .equal(8, link)
        .load_output_name(8)
        .equal(8, link)
        .load_ct_status(0)
        .and_xor(0, host32(kDestinationTranslated), host32(0))
        .equal(0, host32(0))
        .load_ct_state(0)
        .and_xor(0, host32(kNew), host32(0))
        .differs(0, host32(0))
        .verdict(drop);
}

std::vector<Family> families(const std::vector<Filter::Bridge>& bridges) {
  for (const Filter::Bridge& bridge : bridges)
    for (const Prefix& subnet : bridge.subnets)
      if (subnet.address.v6) return {Family::ip, Family::ip6};
  return {Family::ip};
}

bool any_of(const std::vector<Filter::Port>& ports, bool v6) {
  for (const Filter::Port& port : ports)
    if (port.target.v6 == v6) return true;
  return false;
}

Result<void> remove_table(os::netlink::Socket& socket, Family family) {
  Transaction tx(family, kTable);
  tx.add_table();
  tx.delete_table();
  return tx.commit(socket);
}
}  // namespace

Result<void> Filter::replace(os::netlink::Socket& socket, const std::vector<Bridge>& bridges, const std::vector<Port>& ports) {
  auto wanted = families(bridges);
  for (Family family : wanted) {
    Table table(family);
    table.tx.add_table();
    table.tx.delete_table();
    table.put(bridges);
    table.elements(ports, true);
    TRY(table.tx.commit(socket));
  }
  if (wanted.size() == 1 && TRY(table_exists(socket, Family::ip6, kTable))) TRY(remove_table(socket, Family::ip6));
  return {};
}

static Result<void> change(os::netlink::Socket& socket, const std::vector<Filter::Port>& ports, bool add) {
  for (Family family : {Family::ip, Family::ip6}) {
    if (!any_of(ports, family == Family::ip6)) continue;
    Table table(family);
    table.elements(ports, add);
    TRY(table.tx.commit(socket));
  }
  return {};
}

Result<void> Filter::publish(os::netlink::Socket& socket, const std::vector<Port>& ports) { return change(socket, ports, true); }

Result<void> Filter::withdraw(os::netlink::Socket& socket, const std::vector<Port>& ports) {
  if (change(socket, ports, false)) return {};
  Result<void> result;
  for (const Port& port : ports)
    if (auto one = change(socket, {port}, false); !one && one.error().sys != ENOENT) result = std::move(one);
  return result;
}

Result<void> Filter::remove(os::netlink::Socket& socket) {
  for (Family family : {Family::ip, Family::ip6})
    if (TRY(table_exists(socket, family, kTable))) TRY(remove_table(socket, family));
  return {};
}

Result<bool> Filter::intact(os::netlink::Socket& socket, const std::vector<Port>& ports) {
  if (!TRY(table_exists(socket, Family::ip, kTable))) return false;
  for (bool v6 : {false, true}) {
    if (!any_of(ports, v6)) continue;
    auto found = list_elements(socket, v6 ? Family::ip6 : Family::ip, kTable, "ports");
    if (!found) return false;
    size_t wanted = 0;
    for (const Port& port : ports) wanted += port.target.v6 == v6;
    if (found->size() < wanted) return false;
  }
  return true;
}

}  // namespace estiba::network::bridge
