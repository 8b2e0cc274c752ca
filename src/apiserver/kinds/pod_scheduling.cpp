// Where a pod may run: affinity, tolerations, spreading, gates.
#include <algorithm>

#include "apiserver/edit.h"
#include "apiserver/kinds/field_rules.h"
#include "apiserver/kinds/pod_check.h"
#include "apiserver/kinds/rules.h"
#include "base/strings.h"
#include "model/names.h"

namespace estiba::apiserver {
namespace {

using json::Node;

constexpr std::string_view required_terms = "requiredDuringSchedulingIgnoredDuringExecution";
constexpr std::string_view preferred_terms = "preferredDuringSchedulingIgnoredDuringExecution";

size_t count(const Node& holder, std::string_view key) {
  const Node* list = holder.find(key);
  return present(list) ? list->size() : 0;
}

void validate_expression(const Node& expression, const std::string& path, bool check_values, FieldErrors& errors) {
  const std::string_view op = expression.string_at("operator");
  const size_t values = count(expression, "values");
  if (op == "In" || op == "NotIn") {
    if (values == 0) errors.required(path + ".values", "must be specified when `operator` is 'In' or 'NotIn'");
  } else if (op == "Exists" || op == "DoesNotExist") {
    if (values > 0) errors.forbidden(path + ".values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
  } else if (op == "Gt" || op == "Lt") {
    if (values != 1) errors.required(path + ".values", "must be specified single value when `operator` is 'Lt' or 'Gt'");
  } else {
    errors.invalid_string(path + ".operator", op, "not a valid selector operator");
  }
  require_qualified_name(expression.string_at("key"), path + ".key", errors);
  constexpr FieldRule rules[] = {{"values[]", Check::label_value}};
  if (check_values) check_fields(expression, rules, path, errors);
}

void validate_match_field(const Node& expression, const std::string& path, FieldErrors& errors) {
  const std::string_view op = expression.string_at("operator"), key = expression.string_at("key");
  if (op != "In" && op != "NotIn") errors.invalid_string(path + ".operator", op, "not a valid selector operator");
  else if (count(expression, "values") != 1)
    errors.required(path + ".values", "must be only one value when `operator` is 'In' or 'NotIn' for node field selector");
  if (key != "metadata.name") return errors.invalid_string(path + ".key", key, "not a valid field selector key");
  constexpr FieldRule rules[] = {{"values[]", Check::dns_subdomain}};
  check_fields(expression, rules, path, errors);
}

void validate_node_term(const Node& term, const std::string& path, bool check_values, FieldErrors& errors) {
  each(term, "matchExpressions", path, [&](const Node& e, const std::string& here) { validate_expression(e, here, check_values, errors); });
  each(term, "matchFields", path, [&](const Node& e, const std::string& here) { validate_match_field(e, here, errors); });
}

void validate_weight(const Node& term, const std::string& path, FieldErrors& errors) {
  const int64_t weight = int_at(term, "weight").value_or(0);
  if (weight < 1 || weight > 100) errors.invalid(path + ".weight", std::string_view(std::to_string(weight)), "must be in the range 1-100");
}

// How often a selector names a key.
int times_named(const Node& selector, std::string_view key) {
  int times = selector.at("matchLabels", key) ? 1 : 0;
  if (const Node* expressions = selector.find("matchExpressions"); present(expressions))
    for (const Node& expression : *expressions) times += expression.string_at("key") == key;
  return times;
}

// matchLabelKeys and mismatchLabelKeys. A pod's are in its selector by now (pod_label_keys.h): what the selector names a second time is
// what the user has named too.
void validate_label_keys(const Node& term, const std::string& path, FieldErrors& errors) {
  const Node* selector = term.find("labelSelector");
  for (std::string_view list : {"matchLabelKeys", "mismatchLabelKeys"}) {
    if (count(term, list) == 0) continue;
    if (!present(selector)) errors.forbidden(path + "." + std::string(list), "must not be specified when labelSelector is not set");
    else each(term, list, path, [&](const Node& key, const std::string& here) { require_qualified_name(key.as_string(), here, errors); });
  }
  size_t index = 0;
  each(term, "matchLabelKeys", path, [&](const Node& key, const std::string& here) {
    const std::string_view name = key.as_string();
    const std::string place = at(path, index++);  // Kubernetes leaves the list's name out
    for (int again = present(selector) ? times_named(*selector, name) : 0; again > 1; --again)
      errors.invalid_string(place, name, "exists in both matchLabelKeys and labelSelector");
    const Node* mismatch = term.find("mismatchLabelKeys");
    if (present(mismatch) && std::any_of(mismatch->begin(), mismatch->end(), [&](const Node& m) { return m.as_string() == name; }))
      errors.invalid_string(here, name, "exists in both matchLabelKeys and mismatchLabelKeys");
  });
}

void validate_pod_term(const Node& term, const std::string& path, FieldErrors& errors) {
  constexpr FieldRule rules[] = {{"labelSelector", Check::label_selector}, {"namespaceSelector", Check::label_selector}};
  check_fields(term, rules, path, errors);
  const Node* namespaces = term.find("namespaces");
  if (present(namespaces)) {
    for (const Node& name : *namespaces) check_value(&name, Check::dns_label, {}, path + ".namespace", errors);
  }
  validate_label_keys(term, path, errors);
  if (!has_value(term, "topologyKey")) errors.required(path + ".topologyKey", "can not be empty");
  else require_qualified_name(term.string_at("topologyKey"), path + ".topologyKey", errors);
}

void validate_pod_affinity(const Node& affinity, std::string_view kind, const std::string& path, FieldErrors& errors) {
  const Node* terms = affinity.find(kind);
  if (!present(terms)) return;
  const std::string here = path + "." + std::string(kind);
  each(*terms, required_terms, here, [&](const Node& term, const std::string& where) { validate_pod_term(term, where, errors); });
  each(*terms, preferred_terms, here, [&](const Node& weighted, const std::string& where) {
    validate_weight(weighted, where, errors);
    const Node* term = weighted.find("podAffinityTerm");
    if (present(term)) validate_pod_term(*term, where + ".podAffinityTerm", errors);
  });
}

void validate_affinity(const PodScope& pod) {
  const Node* affinity = pod.spec.find("affinity");
  if (!present(affinity)) return;
  const std::string path = pod.path + ".affinity";
  if (const Node* nodes = affinity->find("nodeAffinity"); present(nodes)) {
    const std::string here = path + ".nodeAffinity";
    if (const Node* selector = nodes->find(required_terms); present(selector))
      validate_node_selector(*selector, here + "." + std::string(required_terms), pod.errors);
    each(*nodes, preferred_terms, here, [&](const Node& weighted, const std::string& where) {
      validate_weight(weighted, where, pod.errors);
      const Node* term = weighted.find("preference");
      if (present(term)) validate_node_term(*term, where + ".preference", false, pod.errors);
    });
  }
  validate_pod_affinity(*affinity, "podAffinity", path, pod.errors);
  validate_pod_affinity(*affinity, "podAntiAffinity", path, pod.errors);
}

void validate_spreading(const PodScope& pod) {
  constexpr FieldRule rules[] = {
      {"topologyKey", Check::required, "can not be empty"},
      {"whenUnsatisfiable", Check::one_of, "DoNotSchedule ScheduleAnyway"},
      {"nodeAffinityPolicy", Check::one_of, "Honor Ignore"},
      {"nodeTaintsPolicy", Check::one_of, "Honor Ignore"},
      {"minDomains", Check::positive},
      {"labelSelector", Check::label_selector},
  };
  FieldErrors& errors = pod.errors;
  std::map<std::string, std::string> seen;  // the first constraint of a key and action
  each(pod.spec, "topologySpreadConstraints", pod.path, [&](const Node& constraint, const std::string& here) {
    const std::string_view key = constraint.string_at("topologyKey"), action = constraint.string_at("whenUnsatisfiable");
    const int64_t skew = int_at(constraint, "maxSkew").value_or(0);
    if (skew <= 0) errors.invalid(here + ".maxSkew", std::string_view(std::to_string(skew)), "must be greater than 0");
    check_fields(constraint, rules, here, errors);
    if (action.empty()) errors.not_supported(here + ".whenUnsatisfiable", action, {"DoNotSchedule", "ScheduleAnyway"});
    const std::string both = "{" + std::string(key) + ", " + std::string(action) + "}";
    if (auto [first, fresh] = seen.try_emplace(both, here); !fresh)
      errors.duplicate(first->second + ".{topologyKey, whenUnsatisfiable}", both);
    if (has(constraint, "minDomains") && action != "DoNotSchedule")
      errors.invalid(here + ".minDomains", constraint.find("minDomains"),
                     "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not " + std::string(action));
    validate_label_keys(constraint, here, errors);
  });
}

}  // namespace

void validate_node_selector(const Node& selector, const std::string& path, FieldErrors& errors) {
  if (count(selector, "nodeSelectorTerms") == 0)
    return errors.required(path + ".nodeSelectorTerms", "must have at least one node selector term");
  each(selector, "nodeSelectorTerms", path,
       [&](const Node& term, const std::string& here) { validate_node_term(term, here, true, errors); });
}

void validate_tolerations(const Node& holder, const std::string& path, FieldErrors& errors) {
  each(holder, "tolerations", path, [&](const Node& toleration, const std::string& here) {
    const std::string_view key = toleration.string_at("key"), op = toleration.string_at("operator"), value = toleration.string_at("value");
    if (!key.empty()) require_qualified_name(key, here + ".key", errors);
    else if (op != "Exists")
      errors.invalid_string(here + ".operator", op,
                            "operator must be Exists when `key` is empty, which means \"match all values and all keys\"");
    const std::string_view effect = toleration.string_at("effect");
    if (has(toleration, "tolerationSeconds") && effect != "NoExecute")
      errors.invalid_string(here + ".effect", effect, "effect must be 'NoExecute' when `tolerationSeconds` is set");
    if (op.empty() || op == "Equal") {
      std::vector<std::string> problems = model::check_label_value(value);
      if (!problems.empty()) errors.invalid_string(here + ".operator", value, join(problems, ";"));
    } else if (op == "Exists") {
      if (!value.empty()) errors.invalid_string(here + ".operator", value, "value must be empty when `operator` is 'Exists'");
    } else if (op == "Lt" || op == "Gt") {
      errors.not_supported(here + ".operator", op, {"Equal", "Exists", "Lt", "Gt"});
    } else {
      errors.not_supported(here + ".operator", op, {"Equal", "Exists"});
    }
    check_value(toleration.find("effect"), Check::one_of, "NoSchedule PreferNoSchedule NoExecute", here + ".effect", errors);
  });
}

void validate_scheduling(PodScope& pod) {
  validate_affinity(pod);
  validate_spreading(pod);
  validate_tolerations(pod.spec, pod.path, pod.errors);
  std::set<std::string, std::less<>> gates;
  each(pod.spec, "schedulingGates", pod.path, [&](const Node& gate, const std::string& here) {
    const std::string_view name = gate.string_at("name");
    require_qualified_name(name, here, pod.errors);
    if (!gates.emplace(name).second) pod.errors.duplicate(here, name);
  });
}

}  // namespace estiba::apiserver
