// What a Service's selector chooses: addresses with their conditions, grouped by the ports they have. Both EndpointSlices
// and the older Endpoints are made from it.
#pragma once
#include <compare>
#include <string>
#include <string_view>
#include <vector>

#include "client/informer.h"

namespace estiba::controllers {

struct ServicePortTarget {
  std::string name, protocol, app_protocol;
  int32_t port = 0;
  auto operator<=>(const ServicePortTarget&) const = default;
};

struct EndpointFacts {
  std::string address;
  std::string pod_ns, pod, pod_uid;
  std::string node, zone, hostname;
  bool ready = false, serving = false, terminating = false;
  std::string hint_zone, hint_node;  ///< whose clients should prefer it, as spec.trafficDistribution wants
  bool operator==(const EndpointFacts&) const = default;
};

/// Endpoints of one address family that have the same ports.
struct EndpointGroup {
  std::string family;  ///< "IPv4" or "IPv6"
  std::vector<ServicePortTarget> ports;
  std::vector<EndpointFacts> endpoints;  ///< by address
};

/// The groups of a Service with a selector; finished pods and pods without an address are left out. `nodes` tells zones.
std::vector<EndpointGroup> endpoint_groups(const model::ObjectRef& service, const std::vector<model::ObjectRef>& pods,
                                           const client::Informer& nodes);

/// The families that the Service's endpoints have: spec.ipFamilies, or IPv4.
std::vector<std::string> families_of(const model::ObjectRef& service);

/// Whether a Service gets its endpoints from a selector.
bool selects_pods(const model::ObjectRef& service);
bool is_headless(const model::ObjectRef& service);

/// Whether a pod's change may change some Service's endpoints.
bool changes_endpoints(const model::ObjectRef& before, const model::ObjectRef& after);

/// Calls `visit` with each Service of the pod's namespace whose selector matches it.
template <class F>
void each_service_of(client::Informer& services, client::Informer::Index by_namespace, const model::ObjectRef& pod, F&& visit);
bool selects(const model::ObjectRef& service, const model::ObjectRef& pod);

template <class F>
void each_service_of(client::Informer& services, client::Informer::Index by_namespace, const model::ObjectRef& pod, F&& visit) {
  services.each(by_namespace, pod.meta().ns, [&](const model::ObjectRef& service) {
    if (selects(service, pod)) visit(service);
  });
}

}  // namespace estiba::controllers
