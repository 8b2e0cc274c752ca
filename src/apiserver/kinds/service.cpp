#include "apiserver/kinds/service.h"

#include <algorithm>
#include <map>
#include <set>

#include "apiserver/api_errors.h"
#include "apiserver/cluster.h"
#include "apiserver/edit.h"
#include "apiserver/kinds/service_families.h"
#include "apiserver/reservations.h"
#include "apiserver/service_allocator.h"
#include "base/strings.h"

namespace estiba::apiserver::service {
namespace {

using json::Node;

// What one transaction of every store takes.
constexpr size_t most_reservations = 100;

bool is_type(const Node& spec, std::string_view type) { return spec.string_at("type") == type; }
bool has_addresses(const Node& spec) { return !is_type(spec, "ExternalName"); }
bool may_have_node_ports(const Node& spec) { return is_type(spec, "NodePort") || is_type(spec, "LoadBalancer"); }
bool gets_node_ports(const Node& spec) {
  if (is_type(spec, "NodePort")) return true;
  const Node* allocate = spec.find("allocateLoadBalancerNodePorts");
  return is_type(spec, "LoadBalancer") && (!present(allocate) || allocate->as_bool(true));
}
bool needs_health_check(const Node& spec) { return is_type(spec, "LoadBalancer") && spec.string_at("externalTrafficPolicy") == "Local"; }

uint16_t port_at(const Node& object, std::string_view key) {
  const Node* node = object.find(key);
  return node ? static_cast<uint16_t>(node->as_int().value_or(0)) : 0;
}

std::set<uint16_t> node_ports(const Node& spec) {
  std::set<uint16_t> out;
  const Node* ports = spec.find("ports");
  if (!present(ports)) return out;
  for (const Node& port : *ports)
    if (uint16_t number = port_at(port, "nodePort")) out.insert(number);
  return out;
}

void default_ports(json::Document& doc, Node& spec) {
  Node* ports = spec.find("ports");
  if (!ports) return;
  for (Node& port : *ports) {
    default_string(doc, port, "protocol", "TCP");
    const Node* target = port.find("targetPort");
    bool empty = !present(target) || (target->is_string() && target->as_string().empty()) || target->as_int() == 0;
    if (empty) set_copy(doc, port, "targetPort", port.find("port"));
  }
}

void default_ingress(json::Document& doc, Node& object) {
  Node* status = object.find("status");
  Node* balancer = status ? status->find("loadBalancer") : nullptr;
  Node* ingresses = balancer ? balancer->find("ingress") : nullptr;
  if (!present(ingresses) || !ingresses->is_array()) return;
  for (Node& ingress : *ingresses)
    if (ingress.is_object() && has_value(ingress, "ip")) default_string(doc, ingress, "ipMode", "VIP");
}

// An update that leaves out what the server chose keeps it; node ports are found by the name of their port.
void carry_over(Draft& draft, const Node& old) {
  Node& spec = draft.spec();
  if (has_addresses(spec) && has_addresses(old)) {
    if (!has_value(spec, "clusterIP")) set_copy(draft.doc, spec, "clusterIP", old.find("clusterIP"));
    if (!has_value(spec, "clusterIPs") && has_value(old, "clusterIPs")) set_copy(draft.doc, spec, "clusterIPs", old.find("clusterIPs"));
  }
  if (needs_health_check(spec) && needs_health_check(old) && !has_value(spec, "healthCheckNodePort"))
    set_copy(draft.doc, spec, "healthCheckNodePort", old.find("healthCheckNodePort"));
  Node* ports = spec.find("ports");
  const Node* old_ports = old.find("ports");
  if (!gets_node_ports(spec) || !gets_node_ports(old) || !present(ports) || !present(old_ports)) return;
  const std::set<uint16_t> asked = node_ports(spec);
  std::map<std::string, uint16_t, std::less<>> by_name;
  for (const Node& port : *old_ports) by_name.insert_or_assign(std::string(port.string_at("name")), port_at(port, "nodePort"));
  for (Node& port : *ports) {
    if (has_value(port, "nodePort")) continue;
    auto before = by_name.find(port.string_at("name"));
    if (before != by_name.end() && before->second && !asked.contains(before->second)) set_int(draft.doc, port, "nodePort", before->second);
  }
}

// clusterIP and the first of clusterIPs are the same: who changed one of them alone meant both.
void pair_addresses(Draft& draft, const Node* old) {
  Node& spec = draft.spec();
  const auto only_first = [&] {
    Node& list = draft.doc.make_array();
    draft.doc.append(list, draft.doc.make_string(spec.string_at("clusterIP")));
    draft.doc.set(spec, "clusterIPs", list);
  };
  if (!old) {
    if (has_value(spec, "clusterIP") && !has_value(spec, "clusterIPs")) only_first();
    return;
  }
  if (spec.string_at("clusterIP") == old->string_at("clusterIP") || !same(spec.find("clusterIPs"), old->find("clusterIPs"))) return;
  if (!has_value(spec, "clusterIP")) draft.doc.remove(spec, "clusterIPs");
  else only_first();
}

// What a type no longer has goes with the type, unless the client has changed that too (then validation says so).
void drop_by_type(Draft& draft, const Node& old) {
  Node& spec = draft.spec();
  const auto drop_if_same = [&](std::string_view field) {
    if (same(spec.find(field), old.find(field))) draft.doc.remove(spec, field);
  };
  if (has_addresses(old) && !has_addresses(spec)) {
    if (spec.string_at("clusterIP") == old.string_at("clusterIP") && same(spec.find("clusterIPs"), old.find("clusterIPs"))) {
      draft.doc.remove(spec, "clusterIP");
      draft.doc.remove(spec, "clusterIPs");
    }
    drop_if_same("ipFamilies");
    drop_if_same("ipFamilyPolicy");
  }
  if (!has_addresses(spec)) draft.doc.remove(spec, "internalTrafficPolicy");
  Node* ports = spec.find("ports");
  const std::set<uint16_t> before = node_ports(old), now = node_ports(spec);
  if (may_have_node_ports(old) && !may_have_node_ports(spec) && present(ports) && std::ranges::includes(before, now)) {
    for (Node& port : *ports) draft.doc.remove(port, "nodePort");
  }
  if (needs_health_check(old) && !needs_health_check(spec)) drop_if_same("healthCheckNodePort");
  if (is_type(old, "LoadBalancer") && !is_type(spec, "LoadBalancer")) {
    drop_if_same("allocateLoadBalancerNodePorts");
    drop_if_same("loadBalancerClass");
  }
  if (externally_accessible(old) && !externally_accessible(spec)) drop_if_same("externalTrafficPolicy");
  if (!is_type(spec, "LoadBalancer") && draft.object.find("status")) {
    draft.doc.set(draft.status(), "loadBalancer", draft.doc.make_object());
  }
}

Result<void> refuse(Draft& draft, std::string field, std::string value, const Error& error) {
  if (error.code == Code::exhausted) return std::unexpected(Error{Code::internal, 0, error.message, nullptr});
  FieldErrors errors;
  errors.invalid(std::move(field), std::string_view(value), error.message);
  return invalid(*draft.action.resource, "Service", draft.name(), errors.take());
}

// Those that are asked for are looked at, and each of spec.ipFamilies that has none yet gets a free one.
Result<void> allocate_addresses(Draft& draft, const Holdings& before) {
  const ServiceAllocator& allocator = draft.cluster.services();
  Node& spec = draft.spec();
  Node& list = ensure_array(draft.doc, spec, "clusterIPs");
  for (const Node& address : list) {
    if (before.addresses.contains(canonical_address(address.as_string()))) continue;
    auto result = allocator.check_address(address.as_string());
    if (result) continue;
    result.error().context("failed to allocate IP " + std::string(address.as_string()));
    return refuse(draft, "spec.clusterIPs", json::print(list), result.error());
  }
  const Node* families = spec.find("ipFamilies");
  for (uint32_t i = list.size(); present(families) && i < families->size(); ++i) {
    auto chosen = allocator.free_address((*families)[i].as_string());
    if (!chosen) {
      chosen.error().context("failed to allocate a serviceIP for Service " + quoted(draft.name()));
      return refuse(draft, "spec.clusterIPs", "null", chosen.error());
    }
    draft.doc.append(list, draft.doc.make_string(*chosen));
    if (i == 0) draft.doc.set(spec, "clusterIP", *chosen);
  }
  return {};
}

// Ports that differ in nothing but the protocol share a node port in a new Service.
Result<void> allocate_node_ports(Draft& draft, const Holdings& before, std::set<uint16_t>& taken) {
  const ServiceAllocator& allocator = draft.cluster.services();
  Node* ports = draft.spec().find("ports");
  if (!present(ports)) return {};
  const bool choose = gets_node_ports(draft.spec());
  std::set<uint16_t> besides = holdings(draft.object).ports;
  std::map<uint16_t, uint16_t> shared;
  if (draft.creating()) {
    for (const Node& port : *ports)
      if (uint16_t number = port_at(port, "nodePort")) shared.emplace(port_at(port, "port"), number);
  }
  size_t i = 0;
  for (Node& port : *ports) {
    const std::string field = at("spec.ports", i++) + ".nodePort";
    uint16_t number = port_at(port, "nodePort");
    if (number == 0 && !choose) continue;
    if (number == 0 && draft.creating()) {
      if (auto found = shared.find(port_at(port, "port")); found != shared.end()) number = found->second;
    }
    if (number == 0) {
      auto chosen = allocator.free_port(besides);
      if (!chosen) return refuse(draft, field, "0", chosen.error());
      number = *chosen;
      besides.insert(number);
      if (draft.creating()) shared.emplace(port_at(port, "port"), number);
    } else if (!before.ports.contains(number) && !taken.contains(number)) {
      auto result = allocator.check_port(number);
      if (!result) return refuse(draft, field, std::to_string(number), result.error());
    }
    taken.insert(number);
    set_int(draft.doc, port, "nodePort", number);
  }
  return {};
}

Result<void> allocate_health_check(Draft& draft, const Holdings& before, const std::set<uint16_t>& taken) {
  const ServiceAllocator& allocator = draft.cluster.services();
  const uint16_t asked = port_at(draft.spec(), "healthCheckNodePort");
  if (asked && before.ports.contains(asked)) return {};
  if (asked) {
    auto result = taken.contains(asked) ? Result<void>(fail(Code::already_exists, "provided port is already allocated"))
                                        : allocator.check_port(asked);
    if (!result)
      return fail(Code::internal,
                  "failed to allocate requested HealthCheck NodePort " + std::to_string(asked) + ": " + result.error().message);
    return {};
  }
  auto chosen = allocator.free_port(holdings(draft.object).ports);
  if (!chosen) return fail(Code::internal, "failed to allocate a HealthCheck NodePort 0: " + chosen.error().message);
  set_int(draft.doc, draft.spec(), "healthCheckNodePort", *chosen);
  return {};
}

}  // namespace

const SelectableField fields[2] = {{"spec.clusterIP", "", ""}, {"spec.type", "", ""}};

void defaults(json::Document& doc, Node& object) {
  Node& spec = ensure(doc, object, "spec");
  default_string(doc, spec, "sessionAffinity", "None");
  default_string(doc, spec, "type", "ClusterIP");
  if (spec.string_at("sessionAffinity") == "None") doc.remove(spec, "sessionAffinityConfig");
  if (spec.string_at("sessionAffinity") == "ClientIP") {
    default_int(doc, ensure(doc, ensure(doc, spec, "sessionAffinityConfig"), "clientIP"), "timeoutSeconds", 10800);
  }
  default_ports(doc, spec);
  if (externally_accessible(spec)) default_string(doc, spec, "externalTrafficPolicy", "Cluster");
  if (is_type(spec, "LoadBalancer")) {
    default_bool(doc, spec, "allocateLoadBalancerNodePorts", true);
    default_ingress(doc, object);
  }
  if (has_addresses(spec)) default_string(doc, spec, "internalTrafficPolicy", "Cluster");
}

void prepare(Draft& draft) {
  if (draft.creating()) {
    ensure(draft.doc, draft.doc.set(draft.object, "status", draft.doc.make_object()), "loadBalancer");
    pair_addresses(draft, nullptr);
    return choose_families(draft, nullptr);
  }
  draft.keep_old("status");
  const Node* old = draft.old->find("spec");
  if (!old) return;
  carry_over(draft, *old);
  pair_addresses(draft, old);
  choose_families(draft, old);
  drop_by_type(draft, *old);
}

Result<void> allocate(Draft& draft, std::vector<store::Write>& with) {
  const Node& spec = draft.spec();
  const Holdings before = draft.old ? holdings(*draft.old) : Holdings{};
  std::set<uint16_t> taken;
  const Node* list = spec.find("clusterIPs");
  const bool headless = present(list) && !list->empty() && (*list)[0].as_string() == "None";
  if (has_addresses(spec) && !headless) TRY(allocate_addresses(draft, before));
  if (may_have_node_ports(spec)) TRY(allocate_node_ports(draft, before, taken));
  if (needs_health_check(spec)) TRY(allocate_health_check(draft, before, taken));
  const Holdings now = holdings(draft.object);
  const ServiceName self{std::string(draft.ns()), std::string(draft.name())};
  for (const std::string& address : now.addresses)
    if (!before.addresses.contains(address)) with.push_back(TRY(take_address(address, self, draft.cluster.now())));
  for (uint16_t port : now.ports)
    if (!before.ports.contains(port)) with.push_back(take_port(port, self));
  TRY(give_back(draft.cluster.store(), self, before, now, with));
  if (with.size() <= most_reservations) return {};
  return refuse(draft, "spec.ports", std::to_string(now.ports.size()) + " node ports",
                Error{Code::invalid, 0, "must not take and give back more than 100 node ports at once", nullptr});
}

Result<void> release(Cluster& cluster, const Node& old, std::vector<store::Write>& with) {
  const ServiceName self{std::string(old.string_at("metadata", "namespace")), std::string(old.string_at("metadata", "name"))};
  return give_back(cluster.store(), self, holdings(old), {}, with);
}

}  // namespace estiba::apiserver::service
