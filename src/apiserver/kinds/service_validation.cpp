// What a Service may be and how it may change (pkg/apis/core/validation/validation.go: validateService and its kin).
#include <algorithm>
#include <set>

#include "apiserver/edit.h"
#include "apiserver/kinds/field_rules.h"
#include "apiserver/kinds/pod_warnings.h"
#include "apiserver/kinds/rules.h"
#include "apiserver/kinds/service.h"
#include "apiserver/kinds/value_checks.h"
#include "base/strings.h"

namespace estiba::apiserver::service {
namespace {

using json::Node;

constexpr FieldRule rules[] = {
    {"type", Check::one_of, "ClusterIP ExternalName LoadBalancer NodePort"},
    {"sessionAffinity", Check::one_of, "ClientIP None"},
    {"selector", Check::labels},
    {"ipFamilyPolicy", Check::one_of, "PreferDualStack RequireDualStack SingleStack"},
    {"internalTrafficPolicy", Check::one_of, "Cluster Local"},
    {"trafficDistribution", Check::one_of, "PreferClose PreferSameZone PreferSameNode"},
    {"externalIPs[]", Check::ip},
    {"ports[].name", Check::dns_label},
    {"ports[].protocol", Check::one_of, "SCTP TCP UDP"},
    {"ports[].targetPort", Check::port_or_name},
    {"ports[].appProtocol", Check::qualified_name},
};

bool is_type(const Node& spec, std::string_view type) { return spec.string_at("type") == type; }

bool headless(const Node& spec) { return spec.string_at("clusterIP") == "None"; }

void validate_ports(const Node& spec, FieldErrors& errors) {
  const Node* ports = spec.find("ports");
  const bool none = !present(ports) || ports->empty();
  if (none) {
    if (!headless(spec) && !is_type(spec, "ExternalName")) errors.required("spec.ports");
    return;
  }
  std::set<std::string> names, numbers, node_ports;
  each(spec, "ports", "spec", [&](const Node& port, const std::string& here) {
    const std::string name(port.string_at("name")), protocol(port.string_at("protocol"));
    if (name.empty() && ports->size() > 1) errors.required(here + ".name");
    if (!name.empty() && !names.insert(name).second) errors.duplicate(here + ".name", name);
    require_port_number(port.find("port"), here + ".port", errors);
    const std::string key = protocol + "/" + std::to_string(int_at(port, "port").value_or(0));
    if (!numbers.insert(key).second) errors.add({"FieldValueDuplicate", "Duplicate value: " + json::print(port), here});
    const int64_t node_port = int_at(port, "nodePort").value_or(0);
    if (node_port == 0) return;
    if (is_type(spec, "ClusterIP")) errors.forbidden(here + ".nodePort", "may not be used when `type` is 'ClusterIP'");
    if (!node_ports.insert(protocol + "/" + std::to_string(node_port)).second)
      errors.add({"FieldValueDuplicate", "Duplicate value: " + std::to_string(node_port), here + ".nodePort"});
  });
}

void validate_type(const Node& spec, FieldErrors& errors) {
  for (std::string_view type : {"LoadBalancer", "NodePort"}) {
    if (headless(spec) && is_type(spec, type))
      errors.invalid_string("spec.clusterIPs[0]", "None", "may not be set to 'None' for " + std::string(type) + " services");
  }
  if (!is_type(spec, "ExternalName")) return;
  for (std::string_view field : {"clusterIPs", "ipFamilies", "ipFamilyPolicy"}) {
    if (has_value(spec, field)) errors.forbidden("spec." + std::string(field), "may not be set for ExternalName services");
  }
  std::string_view name = spec.string_at("externalName");
  if (name.ends_with('.')) name.remove_suffix(1);
  require_dns_subdomain(name, "spec.externalName", errors);
}

void validate_affinity(const Node& spec, FieldErrors& errors) {
  const Node* config = spec.find("sessionAffinityConfig");
  const std::string_view affinity = spec.string_at("sessionAffinity");
  if (affinity == "None" && present(config))
    errors.forbidden("spec.sessionAffinityConfig", "must not be set when session affinity is None");
  if (affinity != "ClientIP") return;
  const Node* timeout = config ? config->at("clientIP", "timeoutSeconds") : nullptr;
  const std::string field = "spec.sessionAffinityConfig.clientIP.timeoutSeconds";
  if (!present(timeout)) return errors.required(field, "when session affinity type is ClientIP");
  const int64_t seconds = timeout->as_int().value_or(0);
  if (seconds <= 0 || seconds > 86400) errors.invalid(field, timeout, "must be greater than 0 and less than 86400");
}

// Each address of its family, no more than one of each.
void validate_addresses(const Node& spec, FieldErrors& errors) {
  const Node *list = spec.find("clusterIPs"), *families = spec.find("ipFamilies");
  const std::string_view first = spec.string_at("clusterIP");
  const std::string field = "spec.clusterIPs";
  if (present(list) && !list->empty()) {
    if (first.empty()) errors.invalid(field, list, "must be empty when `clusterIP` is not specified");
    else if ((*list)[0].as_string() != first) errors.invalid(field, list, "first value must match `clusterIP`");
  }
  std::set<std::string, std::less<>> seen;
  each(spec, "ipFamilies", "spec", [&](const Node& family, const std::string& here) {
    check_value(&family, Check::one_of, "IPv4 IPv6", here, errors);
    if (!seen.emplace(family.as_string()).second) errors.duplicate(here, family.as_string());
  });
  if (!present(list)) return;
  bool bad = false;
  uint32_t i = 0;
  for (const Node& address : *list) {
    const std::string here = at(field, i);
    if (i++ == 0 && address.as_string() == "None") {
      if (list->size() > 1) errors.invalid(field, list, "'None' must be the first and only value");
      continue;
    }
    const auto problems = check_ip(address.as_string());
    for (const std::string& problem : problems) errors.invalid_string(here, address.as_string(), problem);
    bad |= !problems.empty();
    if (!problems.empty() || !present(families) || i > families->size() || headless(spec)) continue;
    const std::string_view family = (*families)[i - 1].as_string();
    if (ip_family(address.as_string()) != (family == "IPv6" ? 6 : 4))
      errors.invalid_string(here, address.as_string(),
                            "expected an " + std::string(family) + " value as indicated by `ipFamilies[" + std::to_string(i - 1) + "]`");
  }
  if (list->size() > 2) errors.invalid(field, list, "may only hold up to 2 values");
  if (!bad && list->size() == 2 && ip_family((*list)[0].as_string()) == ip_family((*list)[1].as_string()))
    errors.invalid(field, list, "may specify no more than one IP for each IP family");
}

void validate_load_balancer(const Node& spec, FieldErrors& errors) {
  const bool balanced = is_type(spec, "LoadBalancer");
  constexpr std::string_view only = "may only be used when `type` is 'LoadBalancer'";
  each(spec, "loadBalancerSourceRanges", "spec", [&](const Node& range, const std::string& here) {
    const std::string_view value = trim(range.as_string());
    for (const std::string& problem : check_cidr(value))
      errors.invalid_string("spec.LoadBalancerSourceRanges" + here.substr(here.rfind('[')), value, problem);
  });
  if (!balanced && has_value(spec, "loadBalancerSourceRanges")) errors.forbidden("spec.LoadBalancerSourceRanges", only);
  if (!balanced && has(spec, "allocateLoadBalancerNodePorts")) errors.forbidden("spec.allocateLoadBalancerNodePorts", only);
  if (!has(spec, "loadBalancerClass")) return;
  if (!balanced) errors.forbidden("spec.loadBalancerClass", only);
  else require_qualified_name(spec.string_at("loadBalancerClass"), "spec.loadBalancerClass", errors);
}

void validate_traffic(const Node& spec, FieldErrors& errors) {
  const Node *policy = spec.find("externalTrafficPolicy"), *check = spec.find("healthCheckNodePort");
  if (!externally_accessible(spec)) {
    if (has_value(spec, "externalTrafficPolicy"))
      errors.invalid("spec.externalTrafficPolicy", policy, "may only be set for externally-accessible services");
  } else {
    check_value(policy, Check::one_of, "Cluster Local", "spec.externalTrafficPolicy", errors);
  }
  const bool checked = is_type(spec, "LoadBalancer") && policy && policy->as_string() == "Local";
  if (!checked && has_value(spec, "healthCheckNodePort"))
    errors.invalid("spec.healthCheckNodePort", check,
                   "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'");
  if (checked && has_value(spec, "healthCheckNodePort")) require_port_number(check, "spec.healthCheckNodePort", errors);
}

void validate_change(const Node& spec, const Node& old, FieldErrors& errors) {
  if (is_type(spec, "ExternalName") || is_type(old, "ExternalName")) return;
  const Node *now = spec.find("clusterIPs"), *before = old.find("clusterIPs");
  if (present(before) && !before->empty() && !(headless(spec) && headless(old))) {
    if (!present(now) || now->empty()) errors.invalid("spec.clusterIPs[0]", now, "primary clusterIP can not be unset");
    for (uint32_t i = 0; present(now) && i < std::min(now->size(), before->size()); i++) {
      if ((*now)[i].as_string() != (*before)[i].as_string()) errors.invalid(at("spec.clusterIPs", i), now, "may not change once set");
    }
  }
  const Node *families = spec.find("ipFamilies"), *were = old.find("ipFamilies");
  const bool fixed = !headless(spec) && !headless(old) && present(families) && present(were) && !families->empty() && !were->empty();
  if (fixed && (*families)[0].as_string() != (*were)[0].as_string())
    errors.invalid("spec.ipFamilies[0]", families, "may not change once set");
  const bool both = is_type(spec, "LoadBalancer") && is_type(old, "LoadBalancer");
  const bool checked = both && spec.string_at("externalTrafficPolicy") == "Local" && old.string_at("externalTrafficPolicy") == "Local";
  if (checked && !same(spec.find("healthCheckNodePort"), old.find("healthCheckNodePort")))
    errors.forbidden("spec.healthCheckNodePort", "field is immutable");
  if (both && !same(spec.find("loadBalancerClass"), old.find("loadBalancerClass")))
    errors.invalid("spec.loadBalancerClass", spec.find("loadBalancerClass"), "may not change once set");
}

void warn_about(const Draft& draft, const Node& spec) {
  std::vector<std::string>& out = draft.warnings;
  if (draft.object.at("metadata", "annotations", "service.kubernetes.io/topology-aware-hints"))
    warn(out,
         "annotation service.kubernetes.io/topology-aware-hints is deprecated, please use service.kubernetes.io/topology-mode instead");
  const bool external = is_type(spec, "ExternalName"), none = is_type(spec, "ClusterIP") && headless(spec);
  if (none && has_value(spec, "loadBalancerIP")) warn(out, "spec.loadBalancerIP is ignored for headless services");
  if (none && has_value(spec, "externalIPs")) warn(out, "spec.externalIPs is ignored for headless services");
  if (none && spec.string_at("sessionAffinity") != "None") warn(out, "spec.SessionAffinity is ignored for headless services");
  if (has_value(spec, "externalIPs") && !none && !external)
    warn(out, "spec.externalIPs is deprecated and may no longer be implemented in some clusters");
  if (has_value(spec, "externalIPs") && external) warn(out, "spec.externalIPs is ignored when spec.type is \"ExternalName\"");
  if (!external && has_value(spec, "externalName")) warn(out, "spec.externalName is ignored when spec.type is not \"ExternalName\"");
  if (spec.string_at("trafficDistribution") == "PreferClose")
    warn(out, "spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\"");
}

}  // namespace

bool externally_accessible(const Node& spec) {
  return is_type(spec, "LoadBalancer") || is_type(spec, "NodePort") || (is_type(spec, "ClusterIP") && has_value(spec, "externalIPs"));
}

void validate(Draft& draft) {
  const Node& spec = draft.spec();
  FieldErrors& errors = draft.errors;
  check_fields(spec, rules, "spec", errors);
  each(spec, "externalIPs", "spec", [&](const Node& address, const std::string& here) {
    if (!check_ip(address.as_string()).empty()) return;
    for (const std::string& problem : check_endpoint_ip(address.as_string())) errors.invalid_string(here, address.as_string(), problem);
  });
  validate_ports(spec, errors);
  validate_type(spec, errors);
  validate_affinity(spec, errors);
  if (!is_type(spec, "ExternalName")) validate_addresses(spec, errors);
  validate_load_balancer(spec, errors);
  validate_traffic(spec, errors);
  warn_about(draft, spec);
  const Node* old = draft.old ? draft.old->find("spec") : nullptr;
  if (present(old)) validate_change(spec, *old, errors);
}

void validate_status(Draft& draft) {
  FieldErrors& errors = draft.errors;
  const Node* balancer = draft.status().find("loadBalancer");
  if (!present(balancer)) return;
  const std::string path = "status.loadBalancer";
  if (has_value(*balancer, "ingress") && !is_type(draft.spec(), "LoadBalancer"))
    return errors.forbidden(path + ".ingress", "may only be used when `spec.type` is 'LoadBalancer'");
  constexpr FieldRule ingress_rules[] = {
      {"ingress[].ip", Check::ip}, {"ingress[].ipMode", Check::one_of, "Proxy VIP"}, {"ingress[].hostname", Check::dns_subdomain}};
  check_fields(*balancer, ingress_rules, path, errors);
  each(*balancer, "ingress", path, [&](const Node& ingress, const std::string& here) {
    if (has(ingress, "ipMode") && !has_value(ingress, "ip"))
      errors.forbidden(here + ".ipMode", "may not be specified when `ip` is not set");
    if (ip_family(ingress.string_at("hostname")) != 0)
      errors.invalid_string(here + ".hostname", ingress.string_at("hostname"), "must be a DNS name, not an IP address");
  });
}

}  // namespace estiba::apiserver::service
