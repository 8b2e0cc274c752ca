#include "network/proxy/entries.h"

#include <algorithm>

#include "base/strings.h"

namespace estiba::network {

using model::core_v1::Service;
using model::core_v1::ServicePort;
using model::discovery_v1::Endpoint;
using model::discovery_v1::EndpointSlice;

Protocol parse_protocol(std::string_view text) {
  if (text == "UDP") return Protocol::udp;
  return text == "SCTP" ? Protocol::sctp : Protocol::tcp;
}

namespace {

constexpr uint32_t kAffinity = 10800;  // core/v1 ClientIPConfig: three hours, unless said otherwise

// Absent means ready: discovery.k8s.io/v1 EndpointConditions.
bool is_ready(const Endpoint& endpoint) { return !endpoint.conditions || endpoint.conditions->ready.value_or(true); }

struct Choice {
  std::vector<Backend> ready, terminating;

  void add(const Endpoint& endpoint, uint16_t port) {
    const bool ready = is_ready(endpoint);
    bool serving = true, ending = false;
    if (endpoint.conditions) {
      serving = endpoint.conditions->serving.value_or(ready);
      ending = endpoint.conditions->terminating.value_or(false);
    }
    auto& list = ready ? this->ready : terminating;
    if (!ready && !(serving && ending)) return;
    for (const std::string& text : endpoint.addresses)
      if (auto address = Address::parse(text)) list.push_back({*address, port});
  }
  // Endpoints that are going away are better than none: they still serve while a rollout has no new one ready.
  std::vector<Backend> result() && {
    auto& list = ready.empty() ? terminating : ready;
    std::ranges::sort(list);
    list.erase(std::unique(list.begin(), list.end()), list.end());
    return std::move(list);
  }
};

/// A Service's slices of one family.
using Slices = std::vector<const EndpointSlice*>;

template <class F>
void each_endpoint(const ServicePort& port, const Slices& slices, F&& visit) {
  for (const EndpointSlice* slice : slices) {
    for (const auto& offered : slice->ports) {
      if (offered.name != port.name || !offered.port || parse_protocol(offered.protocol) != parse_protocol(port.protocol)) continue;
      for (const Endpoint& endpoint : slice->endpoints) visit(endpoint, uint16_t(*offered.port));
    }
  }
}

std::vector<Backend> local_backends(const ServicePort& port, const Slices& slices, std::string_view node) {
  Choice choice;
  each_endpoint(port, slices, [&](const Endpoint& endpoint, uint16_t number) {
    if (endpoint.nodeName == node) choice.add(endpoint, number);
  });
  return std::move(choice).result();
}

bool for_node(const Endpoint& endpoint, const Place& place) {
  return endpoint.hints && std::ranges::contains(endpoint.hints->forNodes, place.node, &model::discovery_v1::ForNode::name);
}
bool for_zone(const Endpoint& endpoint, const Place& place) {
  return endpoint.hints && std::ranges::contains(endpoint.hints->forZones, place.zone, &model::discovery_v1::ForZone::name);
}

// Of the whole cluster, by the hints if they can be followed (KEP-2433, KEP-3015).
std::vector<Backend> cluster_backends(const ServicePort& port, const Slices& slices, const Place& place) {
  bool all_nodes = true, all_zones = !place.zone.empty(), any_node = false, any_zone = false;
  each_endpoint(port, slices, [&](const Endpoint& endpoint, uint16_t) {
    if (!is_ready(endpoint)) return;
    all_nodes = all_nodes && endpoint.hints && !endpoint.hints->forNodes.empty();
    all_zones = all_zones && endpoint.hints && !endpoint.hints->forZones.empty();
    any_node = any_node || for_node(endpoint, place);
    any_zone = any_zone || for_zone(endpoint, place);
  });
  const bool by_node = all_nodes && any_node, by_zone = all_zones && any_zone;
  Choice choice;
  each_endpoint(port, slices, [&](const Endpoint& endpoint, uint16_t number) {
    if (by_node ? for_node(endpoint, place) : !by_zone || for_zone(endpoint, place)) choice.add(endpoint, number);
  });
  return std::move(choice).result();
}

std::vector<Address> addresses_of(const std::vector<std::string>& texts, bool v6) {
  std::vector<Address> addresses;
  for (const std::string& text : texts)
    if (auto address = Address::parse(text); address && address->v6 == v6) addresses.push_back(*address);
  return addresses;
}

std::vector<Address> balancer_addresses(const Service& service, bool v6) {
  std::vector<std::string> addresses;
  if (service.spec.type == "LoadBalancer" && service.status.loadBalancer)
    for (const auto& ingress : service.status.loadBalancer->ingress)
      if (ingress.ipMode != "Proxy") addresses.push_back(ingress.ip);
  return addresses_of(addresses, v6);
}

std::vector<Prefix> sources_of(const Service& service, bool v6) {
  std::vector<Prefix> sources;
  for (const std::string& text : service.spec.loadBalancerSourceRanges)
    if (auto range = Prefix::parse_loose(trim(text)); range && range->address.v6 == v6) sources.push_back(*range);
  std::ranges::sort(sources);
  return sources;
}

// As kube-proxy has it: with the policy Local clients outside reach the node's own endpoints with their own addresses, and are not answered
// where there are none; pods and the node itself, which are outside of nothing, reach every endpoint.
Entry external_entry(const Front& front, bool local, uint32_t affinity, const std::vector<Backend>& all, const std::vector<Backend>& own) {
  if (!local) return {front, true, affinity, all};
  return {.front = front, .affinity = affinity, .backends = own, .inside = all, .drops = own.empty() && !all.empty()};
}

uint32_t affinity_of(const Service& service) {
  const auto& spec = service.spec;
  if (spec.sessionAffinity != "ClientIP") return 0;
  if (!spec.sessionAffinityConfig || !spec.sessionAffinityConfig->clientIP) return kAffinity;
  return uint32_t(spec.sessionAffinityConfig->clientIP->timeoutSeconds.value_or(kAffinity));
}

void add_entries(std::vector<Entry>& entries, const Service& service, bool v6, const Slices& all_slices, const Place& place) {
  const auto& spec = service.spec;
  const auto cluster_ips = addresses_of(spec.clusterIPs.empty() ? std::vector<std::string>{spec.clusterIP} : spec.clusterIPs, v6);
  if (cluster_ips.empty()) return;
  Slices slices;
  std::ranges::copy_if(all_slices, std::back_inserter(slices),
                       [&](const EndpointSlice* slice) { return slice->addressType == family_name(v6); });
  const auto external = addresses_of(spec.externalIPs, v6), balancers = balancer_addresses(service, v6);
  const std::vector<Prefix> sources = sources_of(service, v6);
  const bool outside = spec.type == "NodePort" || spec.type == "LoadBalancer";
  const bool local_inside = spec.internalTrafficPolicy == "Local", local_outside = spec.externalTrafficPolicy == "Local";
  const uint32_t affinity = affinity_of(service);
  for (const ServicePort& port : spec.ports) {
    const Protocol protocol = parse_protocol(port.protocol);
    const auto all = cluster_backends(port, slices, place);
    const auto own = local_inside || local_outside ? local_backends(port, slices, place.node) : std::vector<Backend>{};
    const auto& inner = local_inside ? own : all;
    for (const Address& address : cluster_ips)
      entries.push_back({.front = {address, protocol, uint16_t(port.port)},
                         .affinity = affinity,
                         .backends = inner,
                         .drops = inner.empty() && !all.empty()});
    for (const Address& address : external)
      entries.push_back(external_entry({address, protocol, uint16_t(port.port)}, local_outside, affinity, all, own));
    for (const Address& address : balancers) {
      entries.push_back(external_entry({address, protocol, uint16_t(port.port)}, local_outside, affinity, all, own));
      entries.back().sources = sources;
    }
    if (outside && port.nodePort.value_or(0) > 0)
      entries.push_back(external_entry({{.v6 = v6}, protocol, uint16_t(*port.nodePort)}, local_outside, affinity, all, own));
  }
}

}  // namespace

std::vector<Address> pool_addresses_of(const Service& service) {
  // Written by controllers/service_address_pool.cpp.
  constexpr std::string_view pool_address = "estiba.dev/LoadBalancerAddress";
  if (!std::ranges::contains(service.status.conditions, pool_address, &model::meta_v1::Condition::type)) return {};
  std::vector<Address> addresses;
  for (const bool v6 : {false, true}) std::ranges::copy(balancer_addresses(service, v6), std::back_inserter(addresses));
  return addresses;
}

std::vector<Entry> entries_of(const Service& service, const std::vector<const EndpointSlice*>& slices, const Place& place) {
  const auto& spec = service.spec;
  if (spec.type == "ExternalName" || spec.clusterIP == "None" || spec.clusterIP.empty()) return {};
  std::vector<Entry> entries;
  for (const bool v6 : {false, true}) add_entries(entries, service, v6, slices, place);
  // Nobody else is there to refuse what is sent to the other ports.
  for (const Address& address : pool_addresses_of(service)) entries.push_back({.front = {address, {}, 0}});
  return entries;
}

std::vector<Entry> entries_of(const std::vector<HostPort>& ports, const std::vector<Address>& pod) {
  std::vector<Entry> entries;
  for (const HostPort& port : ports)
    for (const Address& address : pod) {
      const Address any{.v6 = address.v6};
      const auto at = port.host_ip.empty() ? Result<Address>(any) : Address::parse(port.host_ip);
      if (at && at->v6 == address.v6) entries.push_back({{*at, port.protocol, port.host_port}, false, 0, {{address, port.pod_port}}});
    }
  return entries;
}

}  // namespace estiba::network
