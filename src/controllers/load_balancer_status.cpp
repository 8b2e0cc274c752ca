#include "controllers/load_balancer_status.h"

#include <algorithm>

#include "base/time.h"
#include "client/json_writer.h"
#include "model/types/core_v1.h"

namespace estiba::controllers {

using model::ObjectRef;
using model::core_v1::Service;

static bool is_ours(std::string_view condition) { return condition == node_addresses_condition || condition == pool_address_condition; }

bool wants_load_balancer(const ObjectRef& service) {
  if (!service || !service.meta().deletion_timestamp.empty()) return false;
  const auto& spec = service.as<Service>().spec;
  return spec.type == "LoadBalancer" && (spec.loadBalancerClass.empty() || spec.loadBalancerClass == load_balancer_class);
}

bool has_our_addresses(const ObjectRef& service) {
  return std::ranges::any_of(service.as<Service>().status.conditions, [](const auto& condition) { return is_ours(condition.type); });
}

std::vector<std::string> balancer_addresses_of(const ObjectRef& service) {
  std::vector<std::string> addresses;
  if (const auto& balancer = service.as<Service>().status.loadBalancer)
    for (const auto& ingress : balancer->ingress) addresses.push_back(ingress.ip);
  return addresses;
}

std::string condition_message(const ObjectRef& service, std::string_view type) {
  for (const auto& condition : service.as<Service>().status.conditions)
    if (condition.type == type) return condition.message;
  return {};
}

std::string patch_of(const ObjectRef& service, const BalancerStatus& status, WallTime now) {
  client::JsonWriter json;
  json.object().object("status").object("loadBalancer").array("ingress");
  for (const std::string& address : status.addresses) json.object().field("ip", address).field("ipMode", "VIP").end();
  json.end().end().array("conditions");
  for (const auto& condition : service.as<Service>().status.conditions) {
    if (is_ours(condition.type)) continue;
    json.object()
        .field("type", condition.type)
        .field("status", condition.status)
        .field("reason", condition.reason)
        .field("message", condition.message)
        .field("lastTransitionTime", condition.lastTransitionTime)
        .end();
  }
  if (!status.condition.empty())
    json.object()
        .field("type", status.condition)
        .field("status", status.addresses.empty() ? "False" : "True")
        .field("reason", status.reason)
        .field("message", status.message)
        .field("lastTransitionTime", format_rfc3339(now))
        .end();
  json.end().end().end();
  return json.take();
}

}  // namespace estiba::controllers
