#include "network/policy/rules.h"

#include <algorithm>
#include <map>

#include "network/proxy/entries.h"

namespace estiba::network::policy {

namespace v1 = model::networking_v1;
using model::LabelSelector;

static LabelSelector selector_of(const model::meta_v1::LabelSelector& selector) {
  auto made = LabelSelector::from(selector);
  return made ? std::move(*made) : LabelSelector::nothing();
}

static std::string print(const LabelSelector& selector) {
  std::string text = selector.print();
  return text.empty() && !selector.empty() ? "[nobody]" : "[" + text + "]";
}

std::string Peers::key() const { return "namespace " + (ns.empty() ? print(namespaces) : ns) + " pods " + print(pods); }

static Blocks blocks_of(const v1::IPBlock& block, bool v6) {
  auto whole = block_of(block.cidr, v6);
  if (!whole) return {};
  Blocks except;
  for (const std::string& cidr : block.except)
    if (auto range = block_of(cidr, v6)) except.push_back(*range);
  return subtract(Blocks{*whole}, merged(std::move(except)));
}

static void add_peers(Rule& rule, const Rules& rules, const std::vector<v1::NetworkPolicyPeer>& peers) {
  rule.any_peer = peers.empty();
  for (const v1::NetworkPolicyPeer& peer : peers) {
    if (peer.ipBlock) {
      // Each block's exceptions hold for that block alone.
      std::ranges::copy(blocks_of(*peer.ipBlock, rules.v6), std::back_inserter(rule.blocks));
      continue;
    }
    Peers pods;
    if (peer.namespaceSelector) pods.namespaces = selector_of(*peer.namespaceSelector);
    else pods.ns = rules.ns;
    if (peer.podSelector) pods.pods = selector_of(*peer.podSelector);
    const bool known = std::ranges::any_of(rule.peers, [&](const Peers& other) { return other.key() == pods.key(); });
    if (!known && (peer.namespaceSelector || peer.podSelector)) rule.peers.push_back(std::move(pods));
  }
  rule.blocks = merged(std::move(rule.blocks));
}

static void add_ports(Rule& rule, const std::vector<v1::NetworkPolicyPort>& ports) {
  rule.any_port = ports.empty();
  std::map<Protocol, Ports> numbers;
  for (const v1::NetworkPolicyPort& port : ports) {
    const Protocol protocol = parse_protocol(port.protocol);
    if (port.port && !port.port.is_number()) {
      rule.named.push_back({protocol, port.port.text});
      continue;
    }
    Range range{0, 65535};
    if (port.port) {
      range.first = uint32_t(port.port.number);
      range.last = uint32_t(std::max(port.endPort.value_or(port.port.number), port.port.number));
    }
    numbers[protocol].ranges.push_back(range);
  }
  std::ranges::sort(rule.named);
  rule.named.erase(std::unique(rule.named.begin(), rule.named.end()), rule.named.end());
  for (auto& [protocol, all] : numbers) {
    all.protocol = protocol;
    all.ranges = merged(std::move(all.ranges));
    if (all.ranges == Ranges{{0, 65535}}) all.ranges.clear();
    rule.ports.push_back(std::move(all));
  }
}

Rules rules_of(const v1::NetworkPolicy& policy, bool v6) {
  const auto& spec = policy.spec;
  Rules rules{.ns = policy.metadata.namespace_, .v6 = v6};
  if (spec.podSelector) rules.pods = selector_of(*spec.podSelector);
  // The API server fills policyTypes in; this is its rule, for an object that was stored without.
  const auto& types = spec.policyTypes;
  rules.ingress = types.empty() || std::ranges::contains(types, "Ingress");
  rules.egress = types.empty() ? !spec.egress.empty() : std::ranges::contains(types, "Egress");
  if (rules.ingress)
    for (const auto& ingress : spec.ingress) {
      Rule& rule = rules.from.emplace_back();
      add_peers(rule, rules, ingress.from);
      add_ports(rule, ingress.ports);
    }
  if (rules.egress)
    for (const auto& egress : spec.egress) {
      Rule& rule = rules.to.emplace_back();
      add_peers(rule, rules, egress.to);
      add_ports(rule, egress.ports);
    }
  return rules;
}

// --- text ------------------------------------------------------------------------------------------------------------

static std::string_view name_of(Protocol protocol) {
  return protocol == Protocol::tcp ? "tcp" : protocol == Protocol::udp ? "udp" : "sctp";
}

template <class Number, class Print>
static std::string text_of(const Spans<Number>& spans, Print&& print) {
  std::string text;
  for (const auto& span : spans) {
    text += text.empty() ? "" : ",";
    text += print(span.first);
    if (span.last != span.first) text += "-" + print(span.last);
  }
  return text;
}

static std::string text_of(const Rule& rule, bool v6) {
  std::string text;
  if (rule.any_peer) text += " anybody";
  for (const Peers& peers : rule.peers) text += " {" + peers.key() + "}";
  if (!rule.blocks.empty())
    text += " " + text_of(rule.blocks, [&](AddressNumber address) { return Address::from_value(address, v6).text(); });
  text += " on";
  if (rule.any_port) text += " any port";
  for (const Ports& ports : rule.ports) {
    text += " " + std::string(name_of(ports.protocol));
    if (!ports.ranges.empty()) text += "/" + text_of(ports.ranges, [](uint32_t port) { return std::to_string(port); });
  }
  for (const PortName& port : rule.named) text += " " + std::string(name_of(port.protocol)) + "/" + port.name;
  return text;
}

std::string Rules::text() const {
  std::string text = ns + " pods " + print(pods);
  if (ingress) text += "\nisolated from others";
  for (const Rule& rule : from) text += "\nfrom" + text_of(rule, v6);
  if (egress) text += "\nisolated towards others";
  for (const Rule& rule : to) text += "\nto" + text_of(rule, v6);
  return text;
}

}  // namespace estiba::network::policy
