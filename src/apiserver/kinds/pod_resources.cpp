// Requests and limits, and the references to them that a container's environment and volumes make.
#include <algorithm>

#include "apiserver/edit.h"
#include "apiserver/kinds/field_rules.h"
#include "apiserver/kinds/pod_check.h"
#include "apiserver/kinds/resource_names.h"
#include "apiserver/kinds/rules.h"
#include "base/strings.h"
#include "model/quantity.h"
#include "model/quota.h"

namespace estiba::apiserver {
namespace {

using json::Node;

std::string_view text_of(const Node& quantity) { return quantity.as_string(quantity.number_text()); }

void validate_name(std::string_view name, const std::string& field, bool of_pod, FieldErrors& errors) {
  if (!of_pod) return validate_container_resource_name(name, field, errors);
  if (!validate_resource_name(name, field, errors)) return;
  if (name != "cpu" && name != "memory" && !is_hugepage(name)) errors.not_supported(field, name, {"cpu", "hugepages-", "memory"});
}

void validate_request(const Node& request, const Node* limits, const std::string& path, FieldErrors& errors) {
  const std::string_view name = request.key();
  const Node* limit = present(limits) ? limits->find(name) : nullptr;
  if (!present(limit)) {
    if (!allows_overcommit(name)) errors.required(path + ".limits", "Limit must be set for non overcommitable resources");
    return;
  }
  const auto asked = model::Quantity::parse(text_of(request)), most = model::Quantity::parse(text_of(*limit));
  if (!asked || !most) return;
  const std::string of = " " + std::string(name) + " limit of " + std::string(text_of(*limit));
  if (*asked != *most && !allows_overcommit(name)) errors.invalid_string(path + ".requests", text_of(request), "must be equal to" + of);
  else if (*asked > *most) errors.invalid_string(path + ".requests", text_of(request), "must be less than or equal to" + of);
}

void validate_claims(const PodScope& pod, const Node& resources, const std::string& path) {
  std::set<std::string, std::less<>> seen;
  each(resources, "claims", path, [&](const Node& claim, const std::string& here) {
    const std::string name(claim.string_at("name")), request(claim.string_at("request"));
    if (name.empty()) return pod.errors.required(here);
    check_value(claim.find("request"), Check::dns_label, {}, here + ".request", pod.errors);
    const std::string key = request.empty() ? name : name + "/" + request;
    const auto next = seen.lower_bound(name + "/");
    const bool parts = request.empty() && next != seen.end() && next->starts_with(name + "/");
    if (seen.contains(name) || parts) pod.errors.duplicate(here, name);
    else if (!seen.insert(key).second) pod.errors.duplicate(here, key);
    if (pod.claims.contains(name)) return;
    std::string known;
    for (const std::string& claimed : pod.claims) known.append(known.empty() ? ": " : ", ").append(claimed);
    pod.errors.add({"FieldValueNotFound",
                    "Not found: " + quoted(name) + ": must be one of the names in pod.spec.resourceClaims" +
                        (known.empty() ? " which is empty" : known),
                    here});
  });
}

constexpr std::string_view env_fields[] = {
    "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
    "status.hostIP", "status.hostIPs",     "status.podIP", "status.podIPs"};
constexpr std::string_view volume_fields[] = {"metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace",
                                              "metadata.uid"};
constexpr std::string_view resource_fields[] = {"limits.cpu",   "limits.ephemeral-storage",   "limits.memory",
                                                "requests.cpu", "requests.ephemeral-storage", "requests.memory"};
constexpr std::string_view sizes[] = {"1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"};

bool known(std::span<const std::string_view> names, std::string_view name) { return std::ranges::find(names, name) != names.end(); }

void validate_divisor(const Node& ref, const std::string& path, FieldErrors& errors) {
  const std::string_view resource = ref.string_at("resource");
  const Node* divisor = ref.find("divisor");
  if (!present(divisor)) return;
  const auto value = model::Quantity::parse(text_of(*divisor));
  if (!value || value->is_zero()) return;
  const std::string text = value->print();
  const std::string_view what = resource.ends_with(".cpu")                ? "cpu"
                                : resource.ends_with(".memory")           ? "memory"
                                : resource.ends_with("ephemeral-storage") ? "local ephemeral storage"
                                : resource.contains(".hugepages-")        ? "hugepages"
                                                                          : "";
  if (what.empty()) return;
  if (what == "cpu") {
    if (text != "1m" && text != "1")
      errors.invalid_string(path + ".divisor", resource, "only divisor's values 1m and 1 are supported with the cpu resource");
  } else if (!known(sizes, text)) {
    errors.invalid_string(path + ".divisor", resource,
                          "only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the " +
                              std::string(what) + " resource");
  }
}

// Together the containers may not ask for more than the pod, and none may be limited to more than it.
void validate_pod_sums(const PodScope& pod, const Node& resources, const std::string& path) {
  json::Document doc;
  Node& own = doc.copy(pod.spec);
  doc.remove(own, "resources");
  const auto compare = [&](std::string_view part, std::string_view what, bool pages_only) {
    const model::ResourceList whole = model::read_resources(resources.find(part));
    for (const auto& [name, sum] : model::pod_resources(own, part, false)) {
      const auto limit = whole.find(name);
      if (limit == whole.end() || sum <= limit->second || (pages_only && !is_hugepage(name))) continue;
      pod.errors.invalid_string(at(path + "." + std::string(part), name), limit->second.print(),
                                "must be greater than or equal to aggregate container " + std::string(what) + " of " + sum.print());
    }
  };
  compare("requests", "requests", false);
  compare("limits", "limits", true);
  const model::ResourceList most = model::read_resources(resources.find("limits"));
  size_t i = 0;
  each(pod.spec, "containers", path, [&](const Node& container, const std::string&) {
    const std::string here = at(path + ".containers", i++);
    for (const auto& [name, limit] : model::read_resources(container.at("resources", "limits"))) {
      const auto pod_limit = most.find(name);
      if (pod_limit != most.end() && limit > pod_limit->second)
        pod.errors.invalid_string(at(here, name) + ".limits", limit.print(),
                                  "must be less than or equal to pod limits of " + pod_limit->second.print());
    }
  });
}

}  // namespace

void validate_resources(const PodScope& pod, const Node& resources, const std::string& path, bool of_pod) {
  FieldErrors& errors = pod.errors;
  bool pages = false, compute = false;
  for (std::string_view part : {"limits", "requests"}) {
    each(resources, part, path, [&](const Node& quantity, const std::string& here) {
      const std::string_view name = quantity.key();
      validate_name(name, here, of_pod, errors);
      validate_resource_quantity(name, quantity, here, errors);
      pages |= is_hugepage(name);
      compute |= name == "cpu" || name == "memory";
      if (part == "requests") validate_request(quantity, resources.find("limits"), path, errors);
    });
  }
  if (pages && !compute) errors.forbidden(path, "HugePages require cpu or memory");
  if (!of_pod) return validate_claims(pod, resources, path);
  if (has_value(resources, "claims")) errors.forbidden(path + ".claims", "claims may not be set for Resources at pod-level");
  validate_pod_sums(pod, resources, path);
}

void validate_field_ref(const Node& ref, const std::string& path, bool volume, FieldErrors& errors) {
  const std::string_view field = ref.string_at("fieldPath");
  if (!has_value(ref, "apiVersion")) return errors.required(path + ".apiVersion");
  if (field.empty()) return errors.required(path + ".fieldPath");
  const size_t bracket = field.find("['");
  if (bracket != std::string_view::npos && field.ends_with("']")) {
    const std::string_view name = field.substr(0, bracket), key = field.substr(bracket + 2, field.size() - bracket - 4);
    if (name == "metadata.annotations") return require_qualified_name(to_lower(key), path, errors);
    if (name == "metadata.labels") return require_qualified_name(key, path, errors);
    return errors.invalid_string(path + ".fieldPath", field, "error converting fieldPath: field label does not support subscript");
  }
  const std::span<const std::string_view> allowed =
      volume ? std::span<const std::string_view>(volume_fields) : std::span<const std::string_view>(env_fields);
  if (known(allowed, field)) return;
  if (known(env_fields, field) || known(volume_fields, field) || field == "spec.restartPolicy" || field == "status.phase")
    return errors.not_supported(path + ".fieldPath", field, allowed);
  errors.invalid_string(path + ".fieldPath", field, "error converting fieldPath: field label not supported: " + std::string(field));
}

void validate_resource_field_ref(const Node& ref, const std::string& path, bool volume, FieldErrors& errors) {
  const std::string_view resource = ref.string_at("resource");
  const bool pages = resource.starts_with("limits.hugepages-") || resource.starts_with("requests.hugepages-");
  if (volume && !has_value(ref, "containerName")) errors.required(path + ".containerName");
  else if (resource.empty()) errors.required(path + ".resource");
  else if (!pages && !known(resource_fields, resource))
    errors.not_supported(path + ".resource", resource, std::span<const std::string_view>(resource_fields));
  validate_divisor(ref, path, errors);
}

}  // namespace estiba::apiserver
