#include "controllers/service_endpoints.h"

#include <algorithm>
#include <map>

#include "client/selectors.h"
#include "controllers/pod_facts.h"

namespace estiba::controllers {

using model::ObjectRef;
using model::core_v1::Pod;
using model::core_v1::Service;
using model::core_v1::ServicePort;

bool selects_pods(const ObjectRef& service) {
  const Service& typed = service.as<Service>();
  return !typed.spec.selector.empty() && typed.spec.type != "ExternalName";
}

bool is_headless(const ObjectRef& service) { return service.as<Service>().spec.clusterIP == "None"; }

bool selects(const ObjectRef& service, const ObjectRef& pod) {
  return selects_pods(service) && client::matches(service.as<Service>().spec.selector, pod.meta().labels);
}

std::vector<std::string> families_of(const ObjectRef& service) {
  const auto& families = service.as<Service>().spec.ipFamilies;
  return families.empty() ? std::vector<std::string>{"IPv4"} : families;
}

bool changes_endpoints(const ObjectRef& before, const ObjectRef& after) {
  if (!before || !after) return true;
  const Pod &a = before.as<Pod>(), &b = after.as<Pod>();
  if (before.meta().labels != after.meta().labels || before.meta().deletion_timestamp != after.meta().deletion_timestamp) return true;
  if (is_ready(a) != is_ready(b) || is_finished(a) != is_finished(b) || a.status.podIP != b.status.podIP) return true;
  if (a.spec.nodeName != b.spec.nodeName || a.spec.hostname != b.spec.hostname || a.spec.subdomain != b.spec.subdomain) return true;
  return !std::equal(a.status.podIPs.begin(), a.status.podIPs.end(), b.status.podIPs.begin(), b.status.podIPs.end(),
                     [](const auto& x, const auto& y) { return x.ip == y.ip; });
}

// The number behind spec.ports[].targetPort for this pod; 0 when it has no port of that name.
static int32_t target_port(const ServicePort& port, const Pod& pod) {
  if (port.targetPort.is_number()) return port.targetPort.number > 0 ? port.targetPort.number : port.port;
  if (!port.targetPort.is_text() || port.targetPort.text.empty()) return port.port;
  const auto search = [&](const auto& containers) -> int32_t {
    for (const auto& container : containers)
      for (const auto& candidate : container.ports)
        if (candidate.name == port.targetPort.text &&
            (candidate.protocol.empty() ? "TCP" : candidate.protocol) == (port.protocol.empty() ? "TCP" : port.protocol))
          return candidate.containerPort;
    return 0;
  };
  if (const int32_t found = search(pod.spec.containers)) return found;
  // Sidecars: init containers that go on running.
  std::vector<model::core_v1::Container> sidecars;
  for (const auto& container : pod.spec.initContainers)
    if (container.restartPolicy == "Always") sidecars.push_back(container);
  return search(sidecars);
}

static std::vector<ServicePortTarget> ports_for(const Service& service, const Pod& pod) {
  std::vector<ServicePortTarget> ports;
  for (const ServicePort& port : service.spec.ports) {
    const int32_t number = target_port(port, pod);
    if (number > 0) ports.push_back({port.name, port.protocol.empty() ? "TCP" : port.protocol, port.appProtocol, number});
  }
  return ports;
}

static std::vector<std::string> addresses_of(const Pod& pod, bool v6) {
  std::vector<std::string> out;
  for (const auto& ip : pod.status.podIPs)
    if ((ip.ip.find(':') != std::string::npos) == v6) out.push_back(ip.ip);
  if (out.empty() && !pod.status.podIP.empty() && (pod.status.podIP.find(':') != std::string::npos) == v6) out.push_back(pod.status.podIP);
  return out;
}

// core/v1 ServiceSpec.trafficDistribution; PreferClose is the older name of PreferSameZone.
static void give_hints(EndpointFacts& facts, std::string_view distribution) {
  if (!facts.ready) return;
  const bool node = distribution == "PreferSameNode";
  if (node) facts.hint_node = facts.node;
  if (node || distribution == "PreferSameZone" || distribution == "PreferClose") facts.hint_zone = facts.zone;
}

static EndpointFacts facts_of(const ObjectRef& service, const ObjectRef& object, const client::Informer& nodes) {
  const Service& typed = service.as<Service>();
  const Pod& pod = object.as<Pod>();
  EndpointFacts facts;
  facts.pod_ns = object.meta().ns;
  facts.pod = object.meta().name;
  facts.pod_uid = object.meta().uid;
  facts.node = pod.spec.nodeName;
  if (const ObjectRef node = nodes.get(pod.spec.nodeName)) facts.zone = node.meta().label("topology.kubernetes.io/zone");
  if (!pod.spec.hostname.empty() && pod.spec.subdomain == service.meta().name) facts.hostname = pod.spec.hostname;
  facts.serving = is_ready(pod);
  facts.terminating = !object.meta().deletion_timestamp.empty();
  facts.ready = typed.spec.publishNotReadyAddresses.value_or(false) || (facts.serving && !facts.terminating);
  give_hints(facts, typed.spec.trafficDistribution);
  return facts;
}

std::vector<EndpointGroup> endpoint_groups(const ObjectRef& service, const std::vector<ObjectRef>& pods, const client::Informer& nodes) {
  const Service& typed = service.as<Service>();
  std::map<std::pair<std::string, std::vector<ServicePortTarget>>, EndpointGroup> groups;
  const std::vector<std::string> families = families_of(service);
  for (const ObjectRef& object : pods) {
    const Pod& pod = object.as<Pod>();
    if (!selects(service, object) || is_finished(pod)) continue;
    const std::vector<ServicePortTarget> ports = ports_for(typed, pod);
    if (ports.empty() && !typed.spec.ports.empty()) continue;
    for (const std::string& family : families) {
      for (const std::string& address : addresses_of(pod, family == "IPv6")) {
        EndpointGroup& group = groups[{family, ports}];
        group.family = family;
        group.ports = ports;
        group.endpoints.push_back(facts_of(service, object, nodes));
        group.endpoints.back().address = address;
        break;
      }
    }
  }
  std::vector<EndpointGroup> out;
  for (auto& [key, group] : groups) {
    std::sort(group.endpoints.begin(), group.endpoints.end(),
              [](const auto& a, const auto& b) { return std::tie(a.address, a.pod_uid) < std::tie(b.address, b.pod_uid); });
    out.push_back(std::move(group));
  }
  return out;
}

}  // namespace estiba::controllers
