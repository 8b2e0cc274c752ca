#include "network/proxy/entries.h"

#include <algorithm>

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

struct Choice {
  std::vector<Backend> ready, terminating;

  void add(const Endpoint& endpoint, uint16_t port) {
    // Absent means ready and serving: discovery.k8s.io/v1 EndpointConditions.
    bool ready = true, serving = true, ending = false;
    if (endpoint.conditions) {
      ready = endpoint.conditions->ready.value_or(true);
      serving = endpoint.conditions->serving.value_or(ready);
      ending = endpoint.conditions->terminating.value_or(false);
    }
    auto& list = ready ? this->ready : terminating;
    if (!ready && !(serving && ending)) return;
    for (const std::string& text : endpoint.addresses)
      if (auto address = Address::parse(text); address && !address->v6) list.push_back({address->number(), port});
  }
  // Endpoints that are going away are better than none: they still serve while a rollout has no new one ready.
  std::vector<Backend> result() && {
    auto& list = ready.empty() ? terminating : ready;
    std::ranges::sort(list);
    list.erase(std::unique(list.begin(), list.end()), list.end());
    return std::move(list);
  }
};

std::vector<Backend> backends_of(const ServicePort& port, const std::vector<const EndpointSlice*>& slices, std::string_view only_node) {
  Choice choice;
  for (const EndpointSlice* slice : slices) {
    if (slice->addressType != "IPv4") continue;
    for (const auto& offered : slice->ports) {
      if (offered.name != port.name || !offered.port || parse_protocol(offered.protocol) != parse_protocol(port.protocol)) continue;
      for (const Endpoint& endpoint : slice->endpoints)
        if (only_node.empty() || endpoint.nodeName == only_node) choice.add(endpoint, uint16_t(*offered.port));
    }
  }
  return std::move(choice).result();
}

std::vector<uint32_t> ipv4_of(const std::vector<std::string>& texts) {
  std::vector<uint32_t> addresses;
  for (const std::string& text : texts)
    if (auto address = Address::parse(text); address && !address->v6) addresses.push_back(address->number());
  return addresses;
}

std::vector<uint32_t> external_addresses(const Service& service) {
  auto addresses = ipv4_of(service.spec.externalIPs);
  if (service.spec.type == "LoadBalancer" && service.status.loadBalancer)
    for (const auto& ingress : service.status.loadBalancer->ingress)
      if (auto address = Address::parse(ingress.ip); address && !address->v6 && ingress.ipMode != "Proxy")
        addresses.push_back(address->number());
  return addresses;
}

}  // namespace

std::vector<Entry> entries_of(const Service& service, const std::vector<const EndpointSlice*>& slices, std::string_view node_name) {
  const auto& spec = service.spec;
  if (spec.type == "ExternalName" || spec.clusterIP == "None" || spec.clusterIP.empty()) return {};
  auto cluster_ips = ipv4_of(spec.clusterIPs.empty() ? std::vector<std::string>{spec.clusterIP} : spec.clusterIPs);
  auto external = external_addresses(service);
  bool outside = spec.type == "NodePort" || spec.type == "LoadBalancer";
  bool local_inside = spec.internalTrafficPolicy == "Local", local_outside = spec.externalTrafficPolicy == "Local";
  uint32_t affinity = spec.sessionAffinity == "ClientIP" ? kAffinity : 0;
  if (affinity && spec.sessionAffinityConfig && spec.sessionAffinityConfig->clientIP)
    affinity = uint32_t(spec.sessionAffinityConfig->clientIP->timeoutSeconds.value_or(kAffinity));

  std::vector<Entry> entries;
  for (const ServicePort& port : spec.ports) {
    Protocol protocol = parse_protocol(port.protocol);
    auto inner = backends_of(port, slices, local_inside ? node_name : "");
    auto outer = backends_of(port, slices, local_outside ? node_name : "");
    for (uint32_t address : cluster_ips) entries.push_back({{address, protocol, uint16_t(port.port)}, false, affinity, inner});
    for (uint32_t address : external) entries.push_back({{address, protocol, uint16_t(port.port)}, !local_outside, affinity, outer});
    if (outside && port.nodePort.value_or(0) > 0)
      entries.push_back({{0, protocol, uint16_t(*port.nodePort)}, !local_outside, affinity, outer});
  }
  return entries;
}

std::vector<Entry> entries_of(const std::vector<HostPort>& ports, const Address& pod) {
  std::vector<Entry> entries;
  for (const HostPort& port : ports) entries.push_back({{0, port.protocol, port.host_port}, false, 0, {{pod.number(), port.pod_port}}});
  return entries;
}

}  // namespace estiba::network
