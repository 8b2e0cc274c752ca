#include <algorithm>
#include <map>
#include <set>

#include "apiserver/edit.h"
#include "apiserver/kinds/field_rules.h"
#include "apiserver/kinds/pod_check.h"
#include "apiserver/kinds/pod_spec.h"
#include "apiserver/kinds/pod_warnings.h"
#include "apiserver/kinds/rules.h"
#include "apiserver/kinds/value_checks.h"
#include "base/strings.h"

namespace estiba::apiserver {

bool PodScope::host_users() const {
  const json::Node* users = spec.find("hostUsers");
  return !present(users) || users->as_bool();
}

bool PodScope::host_network() const { return bool_at(spec, "hostNetwork"); }

int64_t PodScope::grace() const { return int_at(spec, "terminationGracePeriodSeconds").value_or(0); }

namespace {

constexpr FieldRule spec_rules[] = {
    {"restartPolicy", Check::one_of, "Always OnFailure Never"},
    {"dnsPolicy", Check::one_of, "ClusterFirstWithHostNet ClusterFirst Default None"},
    {"nodeSelector", Check::labels},
    {"serviceAccountName", Check::dns_subdomain},
    {"nodeName", Check::dns_subdomain},
    {"activeDeadlineSeconds", Check::range, "1 2147483647"},
    {"hostname", Check::dns_label},
    {"subdomain", Check::dns_label},
    {"priorityClassName", Check::dns_subdomain},
    {"runtimeClassName", Check::dns_subdomain},
    {"preemptionPolicy", Check::one_of, "PreemptLowerPriority Never"},
    {"hostAliases[].ip", Check::required},
    {"hostAliases[].ip", Check::ip},
    {"hostAliases[].hostnames[]", Check::dns_subdomain},
    {"dnsConfig.nameservers[]", Check::ip},
    {"dnsConfig.options[].name", Check::required, "must not be empty"},
    {"hostnameOverride", Check::max_bytes, "64"},
    {"hostnameOverride", Check::dns_subdomain},
};

void validate_dns_config(const PodScope& pod) {
  const json::Node* config = pod.spec.find("dnsConfig");
  const std::string path = pod.path + ".dnsConfig";
  FieldErrors& errors = pod.errors;
  if (pod.spec.string_at("dnsPolicy") == "None") {
    if (!present(config)) return errors.required(path, "must provide `dnsConfig` when `dnsPolicy` is None");
    if (!has_value(*config, "nameservers"))
      return errors.required(path + ".nameservers", "must provide at least one DNS nameserver when `dnsPolicy` is None");
  }
  if (!present(config)) return;
  const json::Node *servers = config->find("nameservers"), *searches = config->find("searches");
  if (present(servers) && servers->size() > 3) errors.invalid(path + ".nameservers", servers, "must not have more than 3 nameservers");
  if (!present(searches)) return;
  size_t characters = searches->empty() ? 0 : searches->size() - 1;
  for (const json::Node& search : *searches) characters += search.as_string().size();
  if (searches->size() > 32) errors.invalid(path + ".searches", searches, "must not have more than 32 search paths");
  if (characters > 2048)
    errors.invalid(path + ".searches", searches, "must not have more than 2048 characters (including spaces) in the search list");
  each(*config, "searches", path, [&](const json::Node& search, const std::string& here) {
    std::string_view name = search.as_string();
    if (name == ".") return;
    if (name.ends_with('.')) name.remove_suffix(1);
    for (const std::string& problem : check_subdomain_with_underscore(name)) errors.invalid_string(here, name, problem);
  });
}

void validate_hostname(const PodScope& pod) {
  if (!has(pod.spec, "hostnameOverride")) return;
  const std::string path = pod.path + ".hostnameOverride";
  if (bool_at(pod.spec, "setHostnameAsFQDN")) pod.errors.forbidden(path, "may not be specified when setHostnameAsFQDN is true");
  if (pod.host_network()) pod.errors.forbidden(path, "may not be specified when hostNetwork is true");
}

bool selector_matches(const json::Node& selector, const json::Node* labels) {
  const json::Node* wanted = selector.find("matchLabels");
  if (present(wanted)) {
    for (const json::Node& label : *wanted) {
      if (!labels || !labels->find(label.key()) || labels->string_at(label.key()) != label.as_string()) return false;
    }
  }
  const json::Node* expressions = selector.find("matchExpressions");
  if (!present(expressions)) return true;
  for (const json::Node& expression : *expressions) {
    const json::Node* label = labels ? labels->find(expression.string_at("key")) : nullptr;
    std::string_view op = expression.string_at("operator");
    const json::Node* values = expression.find("values");
    bool listed = label && values &&
                  std::any_of(values->begin(), values->end(), [&](const json::Node& v) { return v.as_string() == label->as_string(); });
    bool holds = op == "In" ? listed : op == "NotIn" ? !listed : op == "Exists" ? label != nullptr : label == nullptr;
    if (!holds) return false;
  }
  return true;
}

}  // namespace

void validate_pod_spec(const json::Node& spec, const std::string& path, FieldErrors& errors, const json::Node* metadata) {
  PodScope pod{spec, path, errors, metadata};
  validate_volumes(pod);
  validate_resource_claims(pod);
  validate_containers(pod);
  if (const json::Node* resources = spec.find("resources"); present(resources))
    validate_resources(pod, *resources, path + ".resources", true);
  check_fields(spec, spec_rules, path, errors);
  validate_dns_config(pod);
  validate_hostname(pod);
  each(spec, "readinessGates", path, [&](const json::Node& gate, const std::string& here) {
    require_qualified_name(gate.string_at("conditionType"), here + ".conditionType", errors);
  });
  validate_scheduling(pod);
  validate_pod_security(pod);
}

void validate_pod_template(const json::Node* made, const std::string& path, FieldErrors& errors, std::vector<std::string>& warnings) {
  if (!present(made)) return errors.required(path);
  constexpr FieldRule rules[] = {{"metadata.labels", Check::labels},
                                 {"spec.ephemeralContainers", Check::forbidden, "ephemeral containers not allowed in pod template"}};
  check_fields(*made, rules, path, errors);
  if (const json::Node* annotations = made->at("metadata", "annotations"); present(annotations)) {
    for (const json::Node& annotation : *annotations)
      require_qualified_name(to_lower(annotation.key()), path + ".metadata.annotations", errors);
  }
  const json::Node* spec = made->find("spec");
  if (!present(spec)) return errors.required(path + ".spec.containers");
  validate_pod_spec(*spec, path + ".spec", errors);
  warn_about_pod(*made, path, warnings);
}

bool selects(const json::Node& selector, const json::Node* labels) { return selector_matches(selector, labels); }

}  // namespace estiba::apiserver
