// pkg/apis/networking/validation/validation.go
#include "apiserver/kinds/networking.h"

#include <algorithm>

#include "apiserver/edit.h"
#include "apiserver/kinds/field_rules.h"
#include "apiserver/kinds/pod_warnings.h"
#include "apiserver/kinds/rules.h"
#include "apiserver/kinds/value_checks.h"
#include "base/strings.h"

namespace estiba::apiserver::networking {
namespace {

using json::Node;

void report(const model::Problems& problems, const std::string& field, std::string_view value, FieldErrors& errors) {
  for (const std::string& problem : problems) errors.invalid_string(field, value, problem);
}

constexpr FieldRule object_ref_rules[] = {{"apiGroup", Check::dns_subdomain},
                                          {"kind", Check::required},
                                          {"kind", Check::path_segment},
                                          {"name", Check::required},
                                          {"name", Check::path_segment}};

// ---- Ingress

void validate_backend(const Node* backend, const std::string& path, FieldErrors& errors) {
  const Node* service = backend ? backend->find("service") : nullptr;
  const Node* resource = backend ? backend->find("resource") : nullptr;
  if (present(service) && present(resource)) return errors.invalid_string(path, "", "cannot set both resource and service backends");
  if (!present(service) && !present(resource)) return errors.invalid_string(path, "", "resource or service backend is required");
  if (present(resource)) return check_fields(*resource, object_ref_rules, path + ".resource", errors);
  constexpr FieldRule rules[] = {{"name", Check::required}, {"name", Check::dns_label}};
  check_fields(*service, rules, path + ".service", errors);
  const Node *name = service->at("port", "name"), *number = service->at("port", "number");
  const bool named = present(name) && !name->as_string().empty(), numbered = present(number) && number->as_int() != 0;
  if (named && numbered) errors.invalid_string(path, "", "cannot set both port name & port number");
  else if (named) check_value(name, Check::port_or_name, {}, path + ".service.port.name", errors);
  else if (numbered) require_port_number(number, path + ".service.port.number", errors);
  else errors.required(path, "port name or number is required");
}

void validate_http_path(const Node& entry, const std::string& path, FieldErrors& errors) {
  const std::string_view type = entry.string_at("pathType"), value = entry.string_at("path");
  if (type.empty()) return errors.required(path + ".pathType", "pathType must be specified");
  const bool strict = type == "Exact" || type == "Prefix";
  if (!strict && type != "ImplementationSpecific")
    errors.not_supported(path + ".pathType", type, {"Exact", "ImplementationSpecific", "Prefix"});
  if ((strict || !value.empty()) && !value.starts_with('/')) errors.invalid_string(path + ".path", value, "must be an absolute path");
  if (strict) {
    for (std::string_view part : {"//", "/./", "/../", "%2f", "%2F"}) {
      if (value.contains(part)) errors.invalid_string(path + ".path", value, "must not contain '" + std::string(part) + "'");
    }
    for (std::string_view end : {"/..", "/."}) {
      if (value.ends_with(end)) errors.invalid_string(path + ".path", value, "cannot end with '" + std::string(end) + "'");
    }
  }
  validate_backend(entry.find("backend"), path + ".backend", errors);
}

void validate_host(std::string_view host, const std::string& field, FieldErrors& errors) {
  if (host.empty()) return;
  if (host.contains('*')) return report(check_wildcard_subdomain(host), field, host, errors);
  require_dns_subdomain(host, field, errors);
}

}  // namespace

void validate_ingress(Draft& draft) {
  const Node& spec = draft.spec();
  FieldErrors& errors = draft.errors;
  const bool rules = has_value(spec, "rules"), fallback = has(spec, "defaultBackend");
  if (!rules && !fallback) errors.invalid("spec", "null", "either `defaultBackend` or `rules` must be specified");
  if (fallback) validate_backend(spec.find("defaultBackend"), "spec.defaultBackend", errors);
  each(spec, "rules", "spec", [&](const Node& rule, const std::string& here) {
    const std::string_view host = rule.string_at("host");
    if (ip_family(host) != 0) errors.invalid_string(here + ".host", host, "must be a DNS name, not an IP address");
    validate_host(host, here + ".host", errors);
    const Node* http = rule.find("http");
    if (!present(http)) return;
    if (!has_value(*http, "paths")) errors.required(here + ".http.paths");
    each(*http, "paths", here + ".http", [&](const Node& entry, const std::string& where) { validate_http_path(entry, where, errors); });
  });
  each(spec, "tls", "spec", [&](const Node& tls, const std::string& here) {
    each(tls, "hosts", here, [&](const Node& host, const std::string& where) {
      if (host.as_string().empty()) require_dns_subdomain(host.as_string(), where, errors);
      validate_host(host.as_string(), where, errors);
    });
    check_value(tls.find("secretName"), Check::dns_subdomain, {}, here + ".secretName", errors);
  });
  check_value(spec.find("ingressClassName"), Check::dns_subdomain, {}, "spec.ingressClassName", errors);
  const Node* annotation = draft.object.at("metadata", "annotations", "kubernetes.io/ingress.class");
  if (!present(annotation)) return;
  warn(draft.warnings, "annotation \"kubernetes.io/ingress.class\" is deprecated, please use 'spec.ingressClassName' instead");
  if (draft.creating() && has(spec, "ingressClassName") && annotation->as_string() != spec.string_at("ingressClassName"))
    errors.invalid_string("annotations.kubernetes.io/ingress.class", annotation->as_string(),
                          "must match `ingressClassName` when both are specified");
}

void validate_ingress_status(Draft& draft) {
  const Node* balancer = draft.status().find("loadBalancer");
  if (!present(balancer)) return;
  constexpr FieldRule rules[] = {{"ingress[].ip", Check::ip}, {"ingress[].hostname", Check::dns_subdomain}};
  check_fields(*balancer, rules, "status.loadBalancer", draft.errors);
  each(*balancer, "ingress", "status.loadBalancer", [&](const Node& ingress, const std::string& here) {
    if (ip_family(ingress.string_at("hostname")) != 0)
      draft.errors.invalid_string(here + ".hostname", ingress.string_at("hostname"), "must be a DNS name, not an IP address");
  });
}

void validate_ingress_class(Draft& draft) {
  const Node& spec = draft.spec();
  FieldErrors& errors = draft.errors;
  const std::string_view controller = spec.string_at("controller");
  check_value(spec.find("controller"), Check::max_bytes, "250", "spec.controller", errors);
  if (controller.empty()) errors.required("spec.controller");
  else report(check_domain_prefixed_path(controller), "spec.controller", controller, errors);
  if (!draft.creating()) require_unchanged(draft, "spec.controller");
  const Node* parameters = spec.find("parameters");
  if (!present(parameters)) return;
  const std::string path = "spec.parameters";
  check_fields(*parameters, object_ref_rules, path, errors);
  const std::string_view scope = parameters->string_at("scope");
  check_value(parameters->find("scope"), Check::one_of, "Cluster Namespace", path + ".scope", errors);
  const bool placed = has(*parameters, "namespace");
  if (scope == "Namespace" && !placed) errors.required(path + ".namespace", "`parameters.scope` is set to 'Namespace'");
  if (scope == "Namespace" && placed) require_dns_label(parameters->string_at("namespace"), path + ".namespace", errors);
  if (scope == "Cluster" && placed) errors.forbidden(path + ".namespace", "`parameters.scope` is set to 'Cluster'");
}

namespace {

// ---- NetworkPolicy

void validate_policy_port(const Node& port, const std::string& path, FieldErrors& errors) {
  const Node *number = port.find("port"), *end = port.find("endPort");
  check_value(port.find("protocol"), Check::one_of, "TCP UDP SCTP", path + ".protocol", errors);
  if (!present(number)) {
    if (present(end)) errors.invalid(path + ".endPort", end, "may not be specified when `port` is not specified");
    return;
  }
  if (number->is_number()) require_port_number(number, path + ".port", errors);
  else check_value(number, Check::port_or_name, {}, path + ".port", errors);
  if (!present(end)) return;
  if (!number->is_number()) return errors.invalid(path + ".endPort", end, "may not be specified when `port` is non-numeric");
  if (end->as_int().value_or(0) < number->as_int().value_or(0))
    errors.invalid(path + ".endPort", number, "must be greater than or equal to `port`");
  require_port_number(end, path + ".endPort", errors);
}

void validate_ip_block(const Node& block, const std::string& path, FieldErrors& errors) {
  const std::string_view network = block.string_at("cidr");
  if (network.empty()) return errors.required(path + ".cidr");
  report(check_cidr(network), path + ".cidr", network, errors);
  if (cidr_family(network) == 0) return;
  each(block, "except", path, [&](const Node& part, const std::string& here) {
    const std::string_view inner = part.as_string();
    report(check_cidr(inner), here, inner, errors);
    if (cidr_family(inner) == 0) return;
    if (!cidr_contains(network, inner) || split_once(network, '/').second == split_once(inner, '/').second)
      errors.invalid_string(here, inner, "must be a strict subset of `cidr`");
  });
}

void validate_peer(const Node& peer, const std::string& path, FieldErrors& errors) {
  constexpr FieldRule rules[] = {{"podSelector", Check::label_selector}, {"namespaceSelector", Check::label_selector}};
  check_fields(peer, rules, path, errors);
  const Node* block = peer.find("ipBlock");
  const int count = has(peer, "podSelector") + has(peer, "namespaceSelector") + present(block);
  if (present(block)) validate_ip_block(*block, path + ".ipBlock", errors);
  if (count == 0) errors.required(path, "must specify a peer");
  if (count > 1 && present(block)) errors.forbidden(path, "may not specify both ipBlock and another peer");
}

}  // namespace

void validate_network_policy(Draft& draft) {
  const Node& spec = draft.spec();
  FieldErrors& errors = draft.errors;
  check_value(spec.find("podSelector"), Check::label_selector, {}, "spec.podSelector", errors);
  for (auto [direction, peers] : {std::pair<std::string_view, std::string_view>{"ingress", "from"}, {"egress", "to"}}) {
    each(spec, direction, "spec", [&](const Node& rule, const std::string& here) {
      each(rule, "ports", here, [&](const Node& port, const std::string& where) { validate_policy_port(port, where, errors); });
      each(rule, peers, here, [&](const Node& peer, const std::string& where) { validate_peer(peer, where, errors); });
    });
  }
  const Node* types = spec.find("policyTypes");
  if (present(types) && types->size() > 2) return errors.invalid("spec.policyTypes", types, "may not specify more than two policyTypes");
  constexpr FieldRule rules[] = {{"policyTypes[]", Check::one_of, "Ingress Egress"}};
  check_fields(spec, rules, "spec", errors);
}

// ---- ServiceCIDR and IPAddress

namespace {

void validate_cidrs(const Node& spec, FieldErrors& errors) {
  const Node* list = spec.find("cidrs");
  const std::string field = "spec.cidrs";
  if (!present(list) || list->empty()) return errors.required(field, "at least one CIDR required");
  if (list->size() > 2) return errors.invalid(field, list, "may only hold up to 2 values");
  each(spec, "cidrs", "spec", [&](const Node& network, const std::string& here) {
    report(check_canonical_cidr(network.as_string()), here, network.as_string(), errors);
  });
  if (list->size() < 2) return;
  const int first = cidr_family((*list)[0].as_string()), second = cidr_family((*list)[1].as_string());
  if (first != 0 && first == second)
    errors.invalid(field, list, "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64");
}

}  // namespace

void validate_service_cidr(Draft& draft) {
  const Node& spec = draft.spec();
  const Node* old = draft.old ? draft.old->at("spec", "cidrs") : nullptr;
  const Node* now = spec.find("cidrs");
  if (!present(old)) return validate_cidrs(spec, draft.errors);
  const uint32_t count = present(now) ? now->size() : 0;
  const bool grown = old->size() == 1 && count == 2;
  if (count != old->size() && !grown) return draft.errors.invalid("spec.cidrs", now, "field is immutable");
  for (uint32_t i = 0; i < old->size(); i++) {
    if (!json::equal((*old)[i], (*now)[i])) draft.errors.invalid(at("spec.cidrs", i), &(*now)[i], "field is immutable");
  }
  if (grown) validate_cidrs(spec, draft.errors);
}

void validate_ip_address(Draft& draft) {
  const Node* parent = draft.spec().find("parentRef");
  if (!draft.creating()) return require_unchanged(draft, "spec.parentRef");
  report(check_canonical_ip(draft.name()), "metadata.name", draft.name(), draft.errors);
  if (!present(parent)) return draft.errors.required("spec.parentRef");
  constexpr FieldRule rules[] = {{"group", Check::dns_subdomain}, {"resource", Check::required}, {"resource", Check::path_segment},
                                 {"name", Check::required},       {"name", Check::path_segment}, {"namespace", Check::path_segment}};
  check_fields(*parent, rules, "spec.parentRef", draft.errors);
}

// ---- Endpoints and EndpointSlice

namespace {

// The server's own endpoints: in a cluster of one machine it may be reached on the loopback alone.
bool is_own(const Draft& draft) { return draft.ns() == "default" && draft.name() == "kubernetes"; }

void validate_endpoint_address(std::string_view address, bool own, const std::string& field, FieldErrors& errors) {
  report(check_ip(address), field, address, errors);
  if (ip_family(address) != 0 && !own) report(check_endpoint_ip(address), field, address, errors);
}

void validate_slice_address(std::string_view type, std::string_view address, bool own, const std::string& field, FieldErrors& errors) {
  if (type == "FQDN") {
    const std::string_view name = address.ends_with('.') ? address.substr(0, address.size() - 1) : address;
    return report(check_fully_qualified_name(name), field, address, errors);
  }
  if (type != "IPv4" && type != "IPv6") return;
  const auto problems = type == "IPv6" ? check_canonical_ip(address) : check_ip(address);
  report(problems, field, address, errors);
  if (!problems.empty()) return;
  if (ip_family(address) != (type == "IPv6" ? 6 : 4)) errors.invalid_string(field, address, "must be an " + std::string(type) + " address");
  if (!own) report(check_endpoint_ip(address), field, address, errors);
}

void validate_hints(const Node& endpoint, const std::string& path, FieldErrors& errors) {
  const Node* hints = endpoint.find("hints");
  if (!present(hints)) return;
  constexpr FieldRule rules[] = {{"forZones", Check::max_items, "8"},
                                 {"forNodes", Check::max_items, "8"},
                                 {"forZones[].name", Check::label_value},
                                 {"forNodes[].name", Check::dns_subdomain}};
  check_fields(*hints, rules, path + ".hints", errors);
  for (std::string_view list : {"forZones", "forNodes"}) {
    std::set<std::string, std::less<>> names;
    each(*hints, list, path + ".hints", [&](const Node& hint, const std::string& here) {
      if (!names.emplace(hint.string_at("name")).second) errors.duplicate(here + ".name", hint.string_at("name"));
    });
  }
}

}  // namespace

void validate_endpoints(Draft& draft) {
  FieldErrors& errors = draft.errors;
  if (!draft.creating() && same(draft.old->find("subsets"), draft.object.find("subsets"))) return;
  constexpr FieldRule address_rules[] = {{"hostname", Check::dns_label}, {"nodeName", Check::dns_subdomain}};
  constexpr FieldRule port_rules[] = {
      {"name", Check::dns_label}, {"protocol", Check::one_of, "SCTP TCP UDP"}, {"appProtocol", Check::qualified_name}};
  each(draft.object, "subsets", "", [&](const Node& subset, const std::string& here) {
    if (!has_value(subset, "addresses") && !has_value(subset, "notReadyAddresses"))
      errors.required(here, "must specify `addresses` or `notReadyAddresses`");
    for (std::string_view list : {"addresses", "notReadyAddresses"}) {
      each(subset, list, here, [&](const Node& address, const std::string& where) {
        validate_endpoint_address(address.string_at("ip"), is_own(draft), where + ".ip", errors);
        check_fields(address, address_rules, where, errors);
      });
    }
    const Node* ports = subset.find("ports");
    each(subset, "ports", here, [&](const Node& port, const std::string& where) {
      if (ports->size() > 1 && !has_value(port, "name")) errors.required(where + ".name");
      require_port_number(port.find("port"), where + ".port", errors);
      check_fields(port, port_rules, where, errors);
    });
  });
}

void validate_endpoint_slice(Draft& draft) {
  FieldErrors& errors = draft.errors;
  const Node& object = draft.object;
  constexpr FieldRule rules[] = {{"addressType", Check::required},
                                 {"addressType", Check::one_of, "FQDN IPv4 IPv6"},
                                 {"ports", Check::max_items, "20000"},
                                 {"ports[].name", Check::dns_label},
                                 {"ports[].protocol", Check::one_of, "SCTP TCP UDP"},
                                 {"ports[].appProtocol", Check::qualified_name},
                                 {"endpoints", Check::max_items, "1000"}};
  check_fields(object, rules, "", errors);
  if (!draft.creating()) require_unchanged(draft, "addressType");
  std::set<std::string, std::less<>> names;
  each(object, "ports", "", [&](const Node& port, const std::string& here) {
    if (!names.emplace(port.string_at("name")).second) errors.duplicate(here + ".name", port.string_at("name"));
  });
  if (!draft.creating() && same(draft.old->find("endpoints"), object.find("endpoints"))) return;
  constexpr FieldRule endpoint_rules[] = {{"addresses", Check::required, "must contain at least 1 address"},
                                          {"addresses", Check::max_items, "100"},
                                          {"nodeName", Check::dns_subdomain},
                                          {"hostname", Check::dns_label},
                                          {"deprecatedTopology", Check::max_items, "16"},
                                          {"deprecatedTopology", Check::labels}};
  const std::string_view type = object.string_at("addressType");
  const bool own = is_own(draft);
  each(object, "endpoints", "", [&](const Node& endpoint, const std::string& here) {
    check_fields(endpoint, endpoint_rules, here, errors);
    each(endpoint, "addresses", here,
         [&](const Node& address, const std::string& where) { validate_slice_address(type, address.as_string(), own, where, errors); });
    validate_hints(endpoint, here, errors);
  });
}

}  // namespace estiba::apiserver::networking
