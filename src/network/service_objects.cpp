#include "network/service_objects.h"

namespace estiba::network {

using model::core_v1::Service;
using model::discovery_v1::EndpointSlice;

// The label that ties a slice to its service (discovery.k8s.io/v1).
static std::string service_of(const model::Meta& slice) {
  std::string_view name = slice.label("kubernetes.io/service-name");
  return name.empty() ? std::string() : client::key_of(slice.ns, name);
}

ServiceObjects::ServiceObjects(client::Client& client, std::string_view node_name)
    : services_(client, client::services),
      slices_(client, client::endpoint_slices),
      node_(client, client::nodes, {}, {.field_selector = "metadata.name=" + std::string(node_name)}),
      by_service_(slices_.add_index([](const model::Object& slice, std::vector<std::string>& values) {
        if (std::string service = service_of(slice.meta()); !service.empty()) values.push_back(std::move(service));
      })) {
  node_.on_change([this](const model::ObjectRef&, const model::ObjectRef& after) {
    std::string zone(after ? after.meta().label("topology.kubernetes.io/zone") : std::string_view());
    if (std::exchange(zone_, zone) != zone && zone_changed_) zone_changed_();
  });
}

std::vector<std::string> ServiceObjects::keys() const {
  std::vector<std::string> keys;
  services_.each([&](const model::ObjectRef& service) { keys.push_back(client::key_of(service)); });
  return keys;
}

void ServiceObjects::on_change(UniqueFunction<void(const std::string&)> handler) {
  auto shared = std::make_shared<UniqueFunction<void(const std::string&)>>(std::move(handler));
  services_.on_change(
      [shared](const model::ObjectRef& before, const model::ObjectRef& after) { (*shared)(client::key_of(after ? after : before)); });
  slices_.on_change([shared](const model::ObjectRef& before, const model::ObjectRef& after) {
    std::string was = before ? service_of(before.meta()) : "", is = after ? service_of(after.meta()) : "";
    if (!was.empty() && was != is) (*shared)(was);
    if (!is.empty()) (*shared)(is);
  });
}

Task<void> ServiceObjects::wait_synced() {
  co_await services_.wait_synced();
  co_await slices_.wait_synced();
}

const Service* ServiceObjects::service(const std::string& key) const {
  model::ObjectRef found = services_.get(key);
  return found ? &found.as<Service>() : nullptr;
}

std::vector<const EndpointSlice*> ServiceObjects::slices(const std::string& key) const {
  std::vector<const EndpointSlice*> found;
  slices_.each(by_service_, key, [&](const model::ObjectRef& slice) { found.push_back(&slice.as<EndpointSlice>()); });
  return found;
}

}  // namespace estiba::network
