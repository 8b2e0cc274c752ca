#include "apiserver/kinds/service.h"

#include <set>

#include "apiserver/api_errors.h"
#include "apiserver/cluster.h"
#include "apiserver/edit.h"
#include "apiserver/service_allocator.h"
#include "base/strings.h"

namespace estiba::apiserver::service {
namespace {

bool has_address(const json::Node& spec) { return spec.string_at("type") != "ExternalName" && spec.string_at("clusterIP") != "None"; }
bool has_node_ports(const json::Node& spec) {
  std::string_view type = spec.string_at("type");
  if (type == "NodePort") return true;
  const json::Node* allocate = spec.find("allocateLoadBalancerNodePorts");
  return type == "LoadBalancer" && (!present(allocate) || allocate->as_bool(true));
}

// What a Service holds of the cluster's addresses and node ports.
struct Holdings {
  std::string address;
  std::set<uint16_t> ports;
};
Holdings holdings(const json::Node* service) {
  Holdings out;
  const json::Node* spec = service ? service->find("spec") : nullptr;
  if (!spec) return out;
  if (has_address(*spec)) out.address = spec->string_at("clusterIP");
  const json::Node* ports = spec->find("ports");
  if (!ports) return out;
  for (const json::Node& port : *ports) {
    const json::Node* node_port = port.find("nodePort");
    if (int64_t number = node_port ? node_port->as_int().value_or(0) : 0; number > 0) out.ports.insert(static_cast<uint16_t>(number));
  }
  return out;
}

// Gives back what `from` holds and `kept` does not.
void release_difference(ServiceAllocator& allocator, const Holdings& from, const Holdings& kept) {
  if (!from.address.empty() && from.address != kept.address) allocator.release_address(from.address);
  for (uint16_t port : from.ports) {
    if (!kept.ports.contains(port)) allocator.release_port(port);
  }
}

void default_ports(json::Document& doc, json::Node& spec) {
  json::Node* ports = spec.find("ports");
  if (!ports) return;
  for (json::Node& port : *ports) {
    default_string(doc, port, "protocol", "TCP");
    const json::Node* target = port.find("targetPort");
    bool empty = !present(target) || (target->is_string() && target->as_string().empty()) || target->as_int() == 0;
    if (empty) set_copy(doc, port, "targetPort", port.find("port"));
  }
}

// An update that leaves out what the server chose keeps it.
void carry_over(Draft& draft) {
  const json::Node* old = draft.old->find("spec");
  if (!old) return;
  json::Node& spec = draft.spec();
  if (has_address(spec) && has_address(*old) && !has_value(spec, "clusterIP")) {
    set_copy(draft.doc, spec, "clusterIP", old->find("clusterIP"));
    set_copy(draft.doc, spec, "clusterIPs", old->find("clusterIPs"));
  }
  const json::Node* old_ports = old->find("ports");
  json::Node* ports = spec.find("ports");
  if (!old_ports || !ports) return;
  for (json::Node& port : *ports) {
    if (!has_node_ports(spec)) {
      // The port was the server's choice, and the type no longer has any.
      for (const json::Node& before : *old_ports) {
        if (same(before.find("nodePort"), port.find("nodePort"))) {
          draft.doc.remove(port, "nodePort");
          break;
        }
      }
      continue;
    }
    if (has_value(port, "nodePort")) continue;
    for (const json::Node& before : *old_ports) {
      if (same(before.find("port"), port.find("port")) && before.string_at("protocol") == port.string_at("protocol")) {
        set_copy(draft.doc, port, "nodePort", before.find("nodePort"));
      }
    }
  }
}

void set_address(Draft& draft, std::string_view address) {
  json::Node& spec = draft.spec();
  draft.doc.set(spec, "clusterIP", address);
  json::Node& list = draft.doc.make_array();
  draft.doc.append(list, draft.doc.make_string(address));
  draft.doc.set(spec, "clusterIPs", list);
}

Result<void> refuse(Draft& draft, std::string field, std::string value, const Error& error) {
  if (error.code == Code::exhausted) return std::unexpected(Error{Code::internal, 0, error.message, nullptr});
  FieldErrors errors;
  errors.invalid(std::move(field), std::string_view(value), error.message);
  return invalid(*draft.action.resource, "Service", draft.name(), errors.take());
}

Result<void> allocate_address(Draft& draft, const Holdings& before, Holdings& taken) {
  ServiceAllocator& allocator = draft.cluster.services();
  std::string address(draft.spec().string_at("clusterIP"));
  if (address.empty()) {
    auto chosen = allocator.take_address();
    if (!chosen) return refuse(draft, "spec.clusterIPs[0]", "\"\"", chosen.error());
    address = *chosen;
  } else if (address != before.address) {
    auto result = allocator.take_address(address);
    if (!result)
      return refuse(draft, "spec.clusterIPs", "[\"" + address + "\"]",
                    std::move(result.error().context("failed to allocate IP " + address)));
  } else {
    return {};
  }
  taken.address = address;
  set_address(draft, address);
  return {};
}

Result<void> allocate_ports(Draft& draft, const Holdings& before, Holdings& taken) {
  ServiceAllocator& allocator = draft.cluster.services();
  json::Node* ports = draft.spec().find("ports");
  if (!ports) return {};
  size_t i = 0;
  for (json::Node& port : *ports) {
    const json::Node* asked = port.find("nodePort");
    auto number = static_cast<uint16_t>(asked ? asked->as_int().value_or(0) : 0);
    std::string field = at("spec.ports", i++) + ".nodePort";
    if (number == 0) {
      auto chosen = allocator.take_port();
      if (!chosen) return refuse(draft, field, "0", chosen.error());
      taken.ports.insert(*chosen);
      set_int(draft.doc, port, "nodePort", *chosen);
    } else if (!before.ports.contains(number) && !taken.ports.contains(number)) {
      auto result = allocator.take_port(number);
      if (!result) return refuse(draft, field, std::to_string(number), result.error());
      taken.ports.insert(number);
    }
  }
  return {};
}

}  // namespace

const SelectableField fields[2] = {{"spec.clusterIP", "", ""}, {"spec.type", "", ""}};

void defaults(json::Document& doc, json::Node& object) {
  json::Node& spec = ensure(doc, object, "spec");
  default_string(doc, spec, "sessionAffinity", "None");
  default_string(doc, spec, "type", "ClusterIP");
  if (spec.string_at("sessionAffinity") == "None") doc.remove(spec, "sessionAffinityConfig");
  if (spec.string_at("sessionAffinity") == "ClientIP") {
    default_int(doc, ensure(doc, ensure(doc, spec, "sessionAffinityConfig"), "clientIP"), "timeoutSeconds", 10800);
  }
  std::string_view type = spec.string_at("type");
  default_ports(doc, spec);
  if (externally_accessible(spec)) default_string(doc, spec, "externalTrafficPolicy", "Cluster");
  if (type == "LoadBalancer") default_bool(doc, spec, "allocateLoadBalancerNodePorts", true);
  if (type == "ExternalName") return;
  default_string(doc, spec, "internalTrafficPolicy", "Cluster");
  default_string(doc, spec, "ipFamilyPolicy", "SingleStack");
  if (!has_value(spec, "ipFamilies")) doc.append(ensure_array(doc, spec, "ipFamilies"), doc.make_string("IPv4"));
  if (has_value(spec, "clusterIP") && !has_value(spec, "clusterIPs")) {
    doc.append(ensure_array(doc, spec, "clusterIPs"), doc.make_string(spec.string_at("clusterIP")));
  } else if (!has_value(spec, "clusterIP") && has_value(spec, "clusterIPs")) {
    std::string first((*spec.find("clusterIPs"))[0].as_string());
    doc.set(spec, "clusterIP", first);
  }
}

void prepare(Draft& draft) {
  if (draft.creating()) {
    ensure(draft.doc, draft.doc.set(draft.object, "status", draft.doc.make_object()), "loadBalancer");
    return;
  }
  draft.keep_old("status");
  carry_over(draft);
  std::string_view type = draft.spec().string_at("type");
  if (type == "ExternalName") {
    for (std::string_view field : {"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"})
      draft.doc.remove(draft.spec(), field);
  }
  if (!externally_accessible(draft.spec())) draft.doc.remove(draft.spec(), "externalTrafficPolicy");
  if (type != "LoadBalancer") draft.doc.remove(draft.spec(), "allocateLoadBalancerNodePorts");
}

Result<void> allocate(Draft& draft) {
  const json::Node& spec = draft.spec();
  Holdings before = holdings(draft.old), taken;
  auto undo_taken = [&](Result<void> result) -> Result<void> {
    if (!result) release_difference(draft.cluster.services(), taken, {});
    return result;
  };
  if (has_address(spec)) TRY(undo_taken(allocate_address(draft, before, taken)));
  if (has_node_ports(spec)) TRY(undo_taken(allocate_ports(draft, before, taken)));
  return {};
}

void undo(Draft& draft) { release_difference(draft.cluster.services(), holdings(&draft.object), holdings(draft.old)); }

void committed(Cluster& cluster, const json::Node& old, const json::Node* now) {
  release_difference(cluster.services(), holdings(&old), holdings(now));
}

}  // namespace estiba::apiserver::service
