#include "model/quota.h"

#include <algorithm>
#include <set>

#include "base/strings.h"
#include "base/time.h"

namespace estiba::model {
namespace {

constexpr std::string_view requests_prefix = "requests.", limits_prefix = "limits.", hugepages_prefix = "hugepages-";
constexpr std::string_view class_suffix = ".storageclass.storage.k8s.io/";

bool given(const json::Node* node) { return node && !node->is_null(); }

void take_largest(ResourceList& to, const ResourceList& other) {
  for (const auto& [name, quantity] : other) {
    auto [place, fresh] = to.try_emplace(name, quantity);
    if (!fresh && quantity > place->second) place->second = quantity;
  }
}

}  // namespace

ResourceList read_resources(const json::Node* node) {
  ResourceList out;
  if (!given(node) || !node->is_object()) return out;
  for (const json::Node& member : *node) {
    auto quantity = Quantity::parse(member.is_number() ? member.number_text() : member.as_string());
    if (quantity) out.insert_or_assign(std::string(member.key()), *quantity);
  }
  return out;
}

json::Node& write_resources(json::Document& doc, const ResourceList& list) {
  json::Node& out = doc.make_object();
  for (const auto& [name, quantity] : list) doc.set(out, name, quantity.print());
  return out;
}

void add_resources(ResourceList& to, const ResourceList& more) {
  for (const auto& [name, quantity] : more) to[name] += quantity;
}

ResourceList masked(const ResourceList& list, const ResourceList& names) {
  ResourceList out;
  for (const auto& [name, quantity] : list)
    if (names.contains(name)) out.emplace(name, quantity);
  return out;
}

std::string print_resources(const ResourceList& list) {
  std::string out;
  for (const auto& [name, quantity] : list) out.append(out.empty() ? "" : ",").append(name).append("=").append(quantity.print());
  return out;
}

ResourceList pod_resources(const json::Node& spec, std::string_view which, bool with_overhead) {
  ResourceList total, sidecars, largest_init;
  if (const json::Node* containers = spec.find("containers"))
    for (const json::Node& container : *containers) add_resources(total, read_resources(container.at("resources", which)));
  if (const json::Node* containers = spec.find("initContainers")) {
    for (const json::Node& container : *containers) {
      ResourceList own = read_resources(container.at("resources", which));
      if (container.string_at("restartPolicy") == "Always") {
        add_resources(total, own);
        add_resources(sidecars, own);
        own = sidecars;
      } else {
        add_resources(own, sidecars);
      }
      take_largest(largest_init, own);
    }
  }
  take_largest(total, largest_init);
  for (const auto& [name, quantity] : read_resources(spec.at("resources", which)))
    if (name == "cpu" || name == "memory" || name.starts_with(hugepages_prefix)) total.insert_or_assign(name, quantity);
  if (!with_overhead) return total;
  // The overhead raises limits only where there are some.
  for (const auto& [name, quantity] : read_resources(spec.find("overhead")))
    if (which == "requests" || total.contains(name)) total[name] += quantity;
  return total;
}

namespace quota {
namespace {

constexpr std::string_view pod_names[] = {
    "cpu",        "memory",        "ephemeral-storage",        "requests.cpu", "requests.memory", "requests.ephemeral-storage",
    "limits.cpu", "limits.memory", "limits.ephemeral-storage", "pods"};
// Kinds that quotas could count by a plain name before there was "count/".
constexpr std::string_view plain_names[] = {"configmaps", "resourcequotas", "replicationcontrollers", "secrets"};

template <size_t N>
bool one_of(const std::string_view (&names)[N], std::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

bool is_extended(std::string_view name) { return name.contains('/') && !name.contains("kubernetes.io/"); }

bool covers_pods(std::string_view name) {
  if (one_of(pod_names, name) || name.starts_with(hugepages_prefix)) return true;
  if (!name.starts_with(requests_prefix)) return false;
  const std::string_view rest = name.substr(requests_prefix.size());
  return rest.starts_with(hugepages_prefix) || is_extended(rest) || rest.starts_with("deviceclass.resource.kubernetes.io/");
}

bool covers_services(std::string_view name) {
  return name == "services" || name == "services.nodeports" || name == "services.loadbalancers";
}

bool covers_claims(std::string_view name) {
  if (const size_t at = name.find(class_suffix); at != std::string_view::npos) name = name.substr(at + class_suffix.size());
  return name == "persistentvolumeclaims" || name == "requests.storage";
}

// What quotas know of cpu, memory and the rest, from a container's or a pod's requests and limits.
ResourceList compute_names(const ResourceList& requests, const ResourceList& limits) {
  ResourceList out;
  for (const auto& [name, quantity] : requests) {
    if (name == "cpu" || name == "memory" || name == "ephemeral-storage" || name.starts_with(hugepages_prefix)) {
      out[name] = quantity;
      out[std::string(requests_prefix) + name] = quantity;
    } else if (is_extended(name)) {
      out[std::string(requests_prefix) + name] = quantity;
    }
  }
  for (const auto& [name, quantity] : limits)
    if (name == "cpu" || name == "memory" || name == "ephemeral-storage") out[std::string(limits_prefix) + name] = quantity;
  return out;
}

bool has_ended(const json::Node& pod, WallTime now) {
  const std::string_view phase = pod.string_at("status", "phase");
  if (phase == "Failed" || phase == "Succeeded") return true;
  const json::Node* grace = pod.at("metadata", "deletionGracePeriodSeconds");
  const auto deleted = parse_rfc3339(pod.string_at("metadata", "deletionTimestamp"));
  return given(grace) && deleted && now > *deleted + std::chrono::seconds(grace->as_int().value_or(0));
}

ResourceList pod_usage(const json::Node& pod, WallTime now) {
  const json::Node* spec = pod.find("spec");
  if (!spec || has_ended(pod, now)) return {};
  ResourceList out = compute_names(pod_resources(*spec, "requests", true), pod_resources(*spec, "limits", true));
  out["pods"] = Quantity::of(1);
  return out;
}

ResourceList service_usage(const json::Node& service) {
  const json::Node* ports = service.at("spec", "ports");
  const std::string_view type = service.string_at("spec", "type");
  int64_t node_ports = 0;
  if (given(ports) && (type == "NodePort" || type == "LoadBalancer")) {
    const json::Node* allocate = service.at("spec", "allocateLoadBalancerNodePorts");
    const bool asked_only = type == "LoadBalancer" && given(allocate) && !allocate->as_bool(true);
    for (const json::Node& port : *ports) {
      const json::Node* number = port.find("nodePort");
      if (!asked_only || (given(number) && number->as_int().value_or(0) != 0)) ++node_ports;
    }
  }
  return {{"services", Quantity::of(1)},
          {"services.nodeports", Quantity::of(node_ports)},
          {"services.loadbalancers", Quantity::of(type == "LoadBalancer" ? 1 : 0)}};
}

ResourceList claim_usage(const json::Node& claim) {
  ResourceList out{{"persistentvolumeclaims", Quantity::of(1)}};
  ResourceList requests = read_resources(claim.at("spec", "resources", "requests"));
  auto asked = requests.find("storage");
  if (asked != requests.end()) {
    const ResourceList allocated = read_resources(claim.at("status", "allocatedResources"));
    if (auto more = allocated.find("storage"); more != allocated.end() && more->second > asked->second) asked->second = more->second;
    out["requests.storage"] = asked->second;
  }
  std::string_view of_class = claim.string_at("metadata", "annotations", "volume.beta.kubernetes.io/storage-class");
  if (of_class.empty()) of_class = claim.string_at("spec", "storageClassName");
  if (of_class.empty()) return out;
  const ResourceList plain = out;
  for (const auto& [name, quantity] : plain) out[std::string(of_class).append(class_suffix).append(name)] = quantity;
  return out;
}

bool ends_by_deadline(const json::Node& pod) {
  const json::Node* deadline = pod.at("spec", "activeDeadlineSeconds");
  return given(deadline) && deadline->as_int().value_or(-1) >= 0;
}

bool asks_for_nothing(const json::Node& pod) {
  auto counts = [](const ResourceList& list) {
    return std::any_of(list.begin(), list.end(),
                       [](const auto& item) { return (item.first == "cpu" || item.first == "memory") && !item.second.is_zero(); });
  };
  auto asks = [&](const json::Node& holder) {
    return counts(read_resources(holder.at("resources", "requests"))) || counts(read_resources(holder.at("resources", "limits")));
  };
  const json::Node* spec = pod.find("spec");
  if (!spec) return true;
  if (asks(*spec)) return false;
  for (std::string_view list : {"containers", "initContainers"}) {
    const json::Node* containers = spec->find(list);
    if (given(containers) && std::any_of(containers->begin(), containers->end(), asks)) return false;
  }
  return true;
}

bool crosses_namespaces(const json::Node& pod) {
  auto crosses = [](const json::Node& term) {
    const json::Node* names = term.find("namespaces");
    return (given(names) && !names->empty()) || given(term.find("namespaceSelector"));
  };
  for (std::string_view affinity : {"podAffinity", "podAntiAffinity"}) {
    const json::Node* rules = pod.at("spec", "affinity", affinity);
    if (!given(rules)) continue;
    if (const json::Node* terms = rules->find("requiredDuringSchedulingIgnoredDuringExecution"); given(terms))
      if (std::any_of(terms->begin(), terms->end(), crosses)) return true;
    if (const json::Node* terms = rules->find("preferredDuringSchedulingIgnoredDuringExecution"); given(terms))
      for (const json::Node& weighted : *terms)
        if (const json::Node* term = weighted.find("podAffinityTerm"); term && crosses(*term)) return true;
  }
  return false;
}

// One expression over a single value, as a label selector sees a label that is absent when empty.
bool selects(const json::Node& expression, std::string_view value) {
  const std::string_view op = expression.string_at("operator");
  if (op == "Exists") return !value.empty();
  if (op == "DoesNotExist") return value.empty();
  const json::Node* values = expression.find("values");
  const bool found = !value.empty() && given(values) &&
                     std::any_of(values->begin(), values->end(), [&](const json::Node& v) { return v.as_string() == value; });
  return op == "In" ? found : op == "NotIn" && !found;
}

bool in_pod_scope(std::string_view scope, const json::Node* expression, const json::Node& pod) {
  if (scope == "Terminating") return ends_by_deadline(pod);
  if (scope == "NotTerminating") return !ends_by_deadline(pod);
  if (scope == "BestEffort") return asks_for_nothing(pod);
  if (scope == "NotBestEffort") return !asks_for_nothing(pod);
  if (scope == "CrossNamespacePodAffinity") return crosses_namespaces(pod);
  if (scope != "PriorityClass") return false;
  const std::string_view name = pod.string_at("spec", "priorityClassName");
  return expression ? selects(*expression, name) : !name.empty();
}

// One of the classes is selected; of none, that there is none.
bool selects_any(const json::Node& expression, const std::set<std::string_view>& names) {
  if (names.empty()) return selects(expression, {});
  return std::ranges::any_of(names, [&](std::string_view name) { return selects(expression, name); });
}

bool in_one_scope(std::string_view scope, const json::Node* expression, std::string_view kind, const json::Node& object) {
  if (kind == "pods") return in_pod_scope(scope, expression, object);
  if (kind != "persistentvolumeclaims" || scope != "VolumeAttributesClass") return false;
  const auto names = attributes_classes(object);
  return expression ? selects_any(*expression, names) : !names.empty();
}

}  // namespace

std::set<std::string_view> attributes_classes(const json::Node& claim) {
  std::set<std::string_view> out{claim.string_at("spec", "volumeAttributesClassName"),
                                 claim.string_at("status", "currentVolumeAttributesClassName"),
                                 claim.string_at("status", "modifyVolumeStatus", "targetVolumeAttributesClassName")};
  out.erase(std::string_view());
  return out;
}

bool covers(std::string_view kind, std::string_view name) {
  if (name.starts_with("count/")) return name.substr(6) == kind;
  if (kind == "pods") return covers_pods(name);
  if (kind == "services") return covers_services(name);
  if (kind == "persistentvolumeclaims") return covers_claims(name);
  return name == kind && one_of(plain_names, name);
}

std::vector<std::string> kinds_counted(const ResourceList& hard) {
  std::set<std::string> out;
  for (const auto& [name, limit] : hard) {
    if (name.starts_with("count/")) out.insert(name.substr(6));
    else if (covers_pods(name)) out.insert("pods");
    else if (covers_services(name)) out.insert("services");
    else if (covers_claims(name)) out.insert("persistentvolumeclaims");
    else if (one_of(plain_names, name)) out.insert(name);
  }
  return {out.begin(), out.end()};
}

ResourceList usage(std::string_view kind, const json::Node& object, WallTime now) {
  ResourceList out;
  if (kind == "pods") out = pod_usage(object, now);
  else if (kind == "services") out = service_usage(object);
  else if (kind == "persistentvolumeclaims") out = claim_usage(object);
  else if (one_of(plain_names, kind)) out.emplace(kind, Quantity::of(1));
  out.emplace("count/" + std::string(kind), Quantity::of(1));
  return out;
}

bool in_scope(const json::Node& quota_spec, std::string_view kind, const json::Node& object) {
  if (const json::Node* scopes = quota_spec.find("scopes"); given(scopes))
    for (const json::Node& scope : *scopes)
      if (!in_one_scope(scope.as_string(), nullptr, kind, object)) return false;
  if (const json::Node* expressions = quota_spec.at("scopeSelector", "matchExpressions"); given(expressions))
    for (const json::Node& expression : *expressions)
      if (!in_one_scope(expression.string_at("scopeName"), &expression, kind, object)) return false;
  return true;
}

std::string missing(std::string_view kind, const json::Node& object, const ResourceList& names) {
  constexpr std::string_view enforced[] = {"cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"};
  const json::Node* spec = object.find("spec");
  if (kind != "pods" || !spec) return {};
  const json::Node* whole = spec->find("resources");
  if (given(whole) && !whole->empty()) return {};  // the pod's own figures are counted
  std::map<std::string, std::set<std::string>> lacking;
  for (std::string_view list : {"containers", "initContainers"}) {
    const json::Node* containers = spec->find(list);
    if (!given(containers)) continue;
    for (const json::Node& container : *containers) {
      const ResourceList has =
          compute_names(read_resources(container.at("resources", "requests")), read_resources(container.at("resources", "limits")));
      for (const auto& [name, limit] : names)
        if (one_of(enforced, name) && !has.contains(name)) lacking[name].emplace(container.string_at("name"));
    }
  }
  std::string out;
  for (const auto& [name, containers] : lacking)
    out += (out.empty() ? "must specify " : "; ") + name + " for: " + join({containers.begin(), containers.end()}, ",");
  return out;
}

}  // namespace quota
}  // namespace estiba::model
