#include "network/proxy/health_checks.h"

#include <set>

#include "base/log.h"
#include "client/json_writer.h"

namespace estiba::network {

HealthChecks::HealthChecks(std::string node_name, ServiceObjects& objects) : node_name_(std::move(node_name)), objects_(objects) {
  objects_.on_change([this](const std::string& service) { refresh(service); });
}
HealthChecks::~HealthChecks() = default;

// How many ready endpoints a service has on a node; one with several ports counts once.
static size_t count_endpoints(const std::vector<const model::discovery_v1::EndpointSlice*>& slices, std::string_view node) {
  std::set<std::string_view> addresses;
  for (const auto* slice : slices)
    for (const auto& endpoint : slice->endpoints)
      if (endpoint.nodeName == node && (!endpoint.conditions || endpoint.conditions->ready.value_or(true)))
        for (const std::string& address : endpoint.addresses) addresses.insert(address);
  return addresses.size();
}

void HealthChecks::refresh(const std::string& key) {
  const auto* service = objects_.service(key);
  const bool wanted = service && service->spec.externalTrafficPolicy == "Local" && service->spec.healthCheckNodePort.value_or(0) > 0;
  if (!wanted) {
    checks_.erase(key);
    return;
  }
  auto& check = checks_[key];
  const uint16_t port = uint16_t(*service->spec.healthCheckNodePort);
  if (!check || check->port != port) check = std::make_unique<Check>(key, port);
  check->endpoints = count_endpoints(objects_.slices(key), node_name_);
  if (!check->server) open(*check);
}

void HealthChecks::open(Check& check) {
  auto server = std::make_unique<io::HttpServer>(std::vector<io::Loop*>{io::Loop::current()}, io::HttpServerOptions{},
                                                 [&check](io::Request&, io::Response& response) { return answer(check, response); });
  if (auto listening = server->listen_tcp("", check.port, nullptr); !listening) {
    log::warn("network", "health checks of a service cannot be answered", {{"service", check.service}, {"error", listening.error()}});
    return;  // tried again when something of the service changes
  }
  check.server = std::move(server);
}

Task<void> HealthChecks::answer(const Check& check, io::Response& response) {
  const auto [ns, name] = client::split_key(check.service);
  client::JsonWriter json;
  json.object().object("service").field("namespace", ns).field("name", name).end().field("localEndpoints", check.endpoints);
  json.field("serviceProxyHealthy", true).end();
  response.send(check.endpoints > 0 ? 200 : 503,
                {{"Content-Type", "application/json"},
                 {"X-Content-Type-Options", "nosniff"},
                 {"X-Load-Balancing-Endpoint-Weight", std::to_string(check.endpoints)}},
                json.take());
  co_return;
}

}  // namespace estiba::network
