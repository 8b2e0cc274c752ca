// Services of type LoadBalancer without a load balancer around: their addresses are those of the nodes, where the proxy leads them to the
// endpoints. With externalTrafficPolicy Local only nodes that have a ready endpoint.
//
// Only where no pool of addresses is named (service_address_pool.cpp), and only Services without a loadBalancerClass or with ours; a
// Service whose status another controller has written is left to that one. What is written here is known by a condition in the status. Two
// Services cannot have one port: the older keeps it. Nor can one have a port at which the API server or a node answers, since those would
// be reached no more.
#include <algorithm>
#include <map>
#include <set>

#include "base/address.h"
#include "client/node_addresses.h"
#include "controllers/framework.h"
#include "controllers/load_balancer_status.h"
#include "controllers/service_endpoints.h"
#include "controllers/table.h"
#include "model/types/core_v1.h"
#include "model/types/discovery_v1.h"

namespace estiba::controllers {

using model::ObjectRef;
using model::core_v1::Node;
using model::core_v1::Service;
using model::discovery_v1::EndpointSlice;

namespace {

using Port = std::pair<std::string, int32_t>;  // protocol, number

class ServiceLoadBalancer final : public Controller {
 public:
  explicit ServiceLoadBalancer(Context& context)
      : Controller(context, "service-lb-controller", {.workers = 1}),
        services_(watch(client::services)),
        nodes_(informer(client::nodes)),
        slices_(informer(client::endpoint_slices)),
        by_service_(slices_.shared_index("service key", [](const model::Object& slice, std::vector<std::string>& values) {
          values.push_back(client::key_of(slice.meta().ns, slice.meta().label("kubernetes.io/service-name")));
        })) {
    // A port that one gives up may be what another waits for; a node's address concerns all.
    services_.on_change([this](const ObjectRef& before, const ObjectRef& after) {
      if (wants(before) || wants(after)) enqueue_all();
    });
    nodes_.on_change([this](const ObjectRef& before, const ObjectRef& after) {
      if (!before || !after || client::balancer_addresses(before) != client::balancer_addresses(after)) enqueue_all();
    });
    slices_.on_change([this](const ObjectRef& before, const ObjectRef& after) {
      const model::Meta& meta = (after ? after : before).meta();
      enqueue(client::key_of(meta.ns, meta.label("kubernetes.io/service-name")));
    });
  }

 private:
  static bool wants(const ObjectRef& service) { return wants_load_balancer(service); }
  void enqueue_all() {
    services_.each([&](const ObjectRef& service) {
      if (wants(service)) enqueue(service);
    });
  }

  std::set<Port> taken_by_the_cluster() const {
    std::set<Port> ports;
    nodes_.each([&](const ObjectRef& node) {
      const auto& daemons = node.as<Node>().status.daemonEndpoints;
      if (daemons && daemons->kubeletEndpoint) ports.insert({"TCP", daemons->kubeletEndpoint->Port});
    });
    slices_.each(by_service_, "default/kubernetes", [&](const ObjectRef& slice) {
      for (const auto& port : slice.as<EndpointSlice>().ports)
        ports.insert({port.protocol.empty() ? "TCP" : port.protocol, port.port.value_or(0)});
    });
    return ports;
  }

  static std::vector<Port> ports_of(const ObjectRef& service) {
    std::vector<Port> ports;
    for (const auto& port : service.as<Service>().spec.ports) ports.push_back({port.protocol.empty() ? "TCP" : port.protocol, port.port});
    return ports;
  }

  /// Why the service cannot have its ports at the nodes, or nothing.
  std::string obstacle(const ObjectRef& service) const {
    const std::set<Port> taken = taken_by_the_cluster();
    const std::vector<Port> mine = ports_of(service);
    for (const auto& [protocol, number] : mine)
      if (taken.contains({protocol, number})) return "port " + std::to_string(number) + " of the nodes is the cluster's own";
    auto age = [](const ObjectRef& object) { return std::pair(object.meta().creation_timestamp, client::key_of(object)); };
    std::string found;
    services_.each([&](const ObjectRef& other) {
      if (!wants(other) || age(other) >= age(service)) return;
      for (const Port& port : ports_of(other))
        if (std::ranges::contains(mine, port))
          found = "port " + std::to_string(port.second) + " of the nodes is that of the service " + client::key_of(other);
    });
    return found;
  }

  std::vector<std::string> wanted(const ObjectRef& service) const {
    std::set<std::string, std::less<>> serving;
    const bool local = service.as<Service>().spec.externalTrafficPolicy == "Local";
    if (local)
      slices_.each(by_service_, client::key_of(service), [&](const ObjectRef& slice) {
        for (const auto& endpoint : slice.as<EndpointSlice>().endpoints)
          if (!endpoint.conditions || endpoint.conditions->ready.value_or(true)) serving.insert(endpoint.nodeName);
      });
    std::vector<std::string> addresses;
    nodes_.each([&](const ObjectRef& node) {
      if (!local || serving.contains(node.meta().name)) std::ranges::copy(client::balancer_addresses(node), std::back_inserter(addresses));
    });
    const std::vector<std::string> families = families_of(service);
    std::erase_if(addresses,
                  [&](const std::string& address) { return !std::ranges::contains(families, family_name(address.contains(':'))); });
    std::ranges::sort(addresses);
    return addresses;
  }

  Task<Result<void>> reconcile(std::string key) override {
    const ObjectRef service = services_.get(key);
    if (!service || !service.meta().deletion_timestamp.empty()) co_return {};
    const bool written = has_our_addresses(service);
    const std::vector<std::string> now = balancer_addresses_of(service);
    if (!written && (!wants(service) || !now.empty())) co_return {};
    BalancerStatus next;
    if (wants(service)) {
      const std::string why_not = obstacle(service);
      if (why_not.empty()) next.addresses = wanted(service);
      else if (!now.empty() || !written)
        events_.record(service, client::EventType::warning, "LoadBalancerPortTaken", "No node address can be given: " + why_not);
      next.condition = node_addresses_condition;
      next.reason = next.addresses.empty() ? "NoAddress" : "Assigned";
      next.message = next.addresses.empty() ? "no node's address can be given" : "the addresses are those of the nodes";
      if (written && next.addresses == now && condition_message(service, next.condition) == next.message) co_return {};
    } else if (!written) {
      co_return {};
    }
    co_return co_await patch_status(services_, service, patch_of(service, next, wall_now()));
  }

  client::Informer &services_, &nodes_, &slices_;
  client::Informer::Index by_service_;
};

}  // namespace

std::unique_ptr<Controller> make_service_load_balancer(Context& context) {
  if (!context.options.load_balancer_pool.empty()) return make_service_address_pool(context);
  return std::make_unique<ServiceLoadBalancer>(context);
}

}  // namespace estiba::controllers
