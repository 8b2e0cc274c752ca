#include "apiserver/kinds/core_kinds.h"

#include <algorithm>

#include "apiserver/edit.h"
#include "apiserver/kinds/field_rules.h"
#include "apiserver/kinds/pod_check.h"
#include "apiserver/kinds/pod_warnings.h"
#include "apiserver/kinds/resource_names.h"
#include "apiserver/kinds/rules.h"
#include "apiserver/kinds/value_checks.h"
#include "base/strings.h"
#include "model/names.h"

namespace estiba::apiserver::core {
namespace {

using json::Node;

// ---- Namespace

void validate_finalizers(const Node& spec, bool indexed, FieldErrors& errors) {
  each(spec, "finalizers", "spec", [&](const Node& finalizer, const std::string& here) {
    const std::string field = indexed ? here : "spec.finalizers";
    const std::string_view name = finalizer.as_string();
    require_qualified_name(name, field, errors);
    if (!name.contains('/') && name != "kubernetes" && name != "orphan" && name != "foregroundDeletion")
      errors.invalid_string(field, name, "name is neither a standard finalizer name nor is it fully qualified");
  });
}

}  // namespace

void validate_namespace(Draft& draft) { validate_finalizers(draft.spec(), false, draft.errors); }

void validate_namespace_status(Draft& draft) {
  if (draft.action.subresource == "finalize") return validate_finalizers(draft.spec(), true, draft.errors);
  if (draft.action.subresource != "status") return;
  const bool ending = !draft.old->string_at("metadata", "deletionTimestamp").empty();
  const std::string_view phase = draft.object.string_at("status", "phase");
  if (!ending && phase != "Active")
    draft.errors.invalid_string("status.Phase", phase, "may only be 'Active' if `deletionTimestamp` is empty");
  if (ending && phase != "Terminating")
    draft.errors.invalid_string("status.Phase", phase, "may only be 'Terminating' if `deletionTimestamp` is not empty");
}

// ---- Node

namespace {

void validate_taints(const Node& spec, FieldErrors& errors) {
  std::set<std::string> seen;
  each(spec, "taints", "spec", [&](const Node& taint, const std::string& here) {
    const std::string_view key = taint.string_at("key"), effect = taint.string_at("effect");
    if (key.empty()) errors.required(here + ".key");
    else require_qualified_name(key, here + ".key", errors);
    const std::vector<std::string> problems = model::check_label_value(taint.string_at("value"));
    if (!problems.empty()) errors.invalid_string(here + ".value", taint.string_at("value"), join(problems, ";"));
    if (effect.empty()) errors.required(here + ".effect");
    else check_value(taint.find("effect"), Check::one_of, "NoSchedule PreferNoSchedule NoExecute", here + ".effect", errors);
    if (!seen.insert(std::string(key) + ":" + std::string(effect)).second)
      errors.add(
          {"FieldValueDuplicate", "Duplicate value: " + json::print(taint) + ": taints must be unique by key and effect pair", here});
  });
}

void validate_quantities(const Node& status, FieldErrors& errors) {
  for (std::string_view list : {"capacity", "allocatable"}) {
    const Node* quantities = status.find(list);
    if (!present(quantities)) continue;
    for (const Node& quantity : *quantities) {
      if (!is_hugepage(quantity.key()))
        validate_resource_quantity(quantity.key(), quantity, "status." + std::string(list) + "." + std::string(quantity.key()), errors);
    }
  }
}

// "MyFeature/mySubFeature" (KEP 5328).
std::string feature_name_problem(std::string_view name) {
  constexpr size_t longest = 253;
  const std::string start = "invalid feature name " + quoted(name);
  if (name.size() > longest) return start + ": must be no more than " + std::to_string(longest) + " characters";
  bool first_of_part = true, good = !name.empty() && name.front() >= 'A' && name.front() <= 'Z';
  for (const char c : name) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    good = good && (letter || (!first_of_part && ((c >= '0' && c <= '9') || c == '/')));
    first_of_part = c == '/';
  }
  if (good && !first_of_part) return {};
  return start +
         ": must start with an UpperCamelCase segment, with subsequent segments separated by '/' (e.g., MyFeature or "
         "MyFeature/mySubFeature), and contain only alphanumeric characters and slashes";
}

void validate_declared_features(const Node& status, FieldErrors& errors) {
  std::string_view last;
  each(status, "declaredFeatures", "status", [&](const Node& feature, const std::string& here) {
    const std::string_view name = feature.as_string();
    if (const std::string problem = feature_name_problem(name); !problem.empty()) errors.invalid_string(here, name, problem);
    if (!last.empty() && name == last) errors.add({"FieldValueDuplicate", "Duplicate value: " + quoted(name), here});
    else if (name < last) errors.invalid_string(here, name, "list must be sorted alphabetically");
    last = name;
  });
}

}  // namespace

void validate_node(Draft& draft) {
  const Node& spec = draft.spec();
  FieldErrors& errors = draft.errors;
  validate_taints(spec, errors);
  constexpr FieldRule rules[] = {{"podCIDRs[]", Check::cidr}};
  if (draft.creating()) {
    check_fields(spec, rules, "spec", errors);
    const Node* networks = spec.find("podCIDRs");
    if (present(networks) && networks->size() > 1 &&
        (networks->size() > 2 || cidr_family((*networks)[0].as_string()) == cidr_family((*networks)[1].as_string())))
      errors.invalid("spec.podCIDRs", networks, "may specify no more than one CIDR for each IP family");
    validate_declared_features(draft.status(), errors);
    return validate_quantities(draft.status(), errors);
  }
  for (std::string_view field : {"podCIDR", "podCIDRs", "providerID"}) {
    const Node* before = draft.old->at("spec", field);
    const bool had = present(before) && (before->is_array() ? !before->empty() : !before->as_string().empty());
    if (!had || same(before, spec.find(field))) continue;
    const std::string_view shown = field == "providerID" ? "providerID" : "podCIDR";
    errors.forbidden("spec." + std::string(field), "node updates may not change " + std::string(shown) + " except from \"\" to valid");
  }
}

void validate_node_status(Draft& draft) {
  const Node& status = draft.status();
  validate_quantities(status, draft.errors);
  validate_declared_features(status, draft.errors);
  std::set<std::string> addresses;
  each(status, "addresses", "status", [&](const Node& address, const std::string& here) {
    if (!addresses.insert(json::print(address)).second)
      draft.errors.add({"FieldValueDuplicate", "Duplicate value: " + json::print(address), here});
  });
}

// ---- events.k8s.io (pkg/apis/core/validation/events.go)

void validate_new_event(Draft& draft) {
  const Node& object = draft.object;
  FieldErrors& errors = draft.errors;
  if (!draft.creating()) return;
  constexpr FieldRule rules[] = {{"reportingController", Check::required},
                                 {"reportingController", Check::qualified_name},
                                 {"reportingInstance", Check::required},
                                 {"reportingInstance", Check::max_bytes, "128"},
                                 {"action", Check::required},
                                 {"action", Check::max_bytes, "128"},
                                 {"reason", Check::required},
                                 {"reason", Check::max_bytes, "128"},
                                 {"note", Check::max_bytes, "1024"},
                                 {"eventTime", Check::required}};
  // Events of the old API, shown and written through the new one, have none of these.
  if (!has(object, "eventTime") && has(object, "deprecatedFirstTimestamp")) return;
  check_fields(object, rules, "", errors);
  const std::string_view type = object.string_at("type");
  if (type != "Normal" && type != "Warning") errors.invalid_string("type", type, "has invalid value: " + std::string(type));
}

// ---- policy, node, coordination

namespace {

void validate_amount(const Node& spec, std::string_view key, FieldErrors& errors) {
  const Node* value = spec.find(key);
  if (!present(value)) return;
  const std::string field = "spec." + std::string(key);
  check_value(value, Check::int_or_percent, {}, field, errors);
  if (!value->is_string() || !model::is_percentage(value->as_string())) return;
  const auto percent = parse_number<int64_t>(value->as_string().substr(0, value->as_string().size() - 1));
  if (!percent || *percent > 100) errors.invalid_string(field, value->as_string(), "must not be greater than 100%");
}

}  // namespace

void validate_disruption_budget(Draft& draft) {
  const Node& spec = draft.spec();
  FieldErrors& errors = draft.errors;
  if (has(spec, "minAvailable") && has(spec, "maxUnavailable"))
    errors.invalid("spec", draft.object.find("spec"), "minAvailable and maxUnavailable cannot be both set");
  validate_amount(spec, "minAvailable", errors);
  validate_amount(spec, "maxUnavailable", errors);
  constexpr FieldRule rules[] = {{"selector", Check::label_selector},
                                 {"unhealthyPodEvictionPolicy", Check::one_of, "AlwaysAllow IfHealthyBudget"}};
  check_fields(spec, rules, "spec", errors);
}

void validate_disruption_budget_status(Draft& draft) {
  constexpr FieldRule rules[] = {{"disruptionsAllowed", Check::not_negative},
                                 {"currentHealthy", Check::not_negative},
                                 {"desiredHealthy", Check::not_negative},
                                 {"expectedPods", Check::not_negative}};
  check_fields(draft.status(), rules, "status", draft.errors);
}

void validate_runtime_class(Draft& draft) {
  const Node& object = draft.object;
  FieldErrors& errors = draft.errors;
  if (!draft.creating()) return require_unchanged(draft, "handler");
  constexpr FieldRule rules[] = {{"handler", Check::required}, {"handler", Check::dns_label}, {"scheduling.nodeSelector", Check::labels}};
  check_fields(object, rules, "", errors);
  if (const Node* fixed = object.at("overhead", "podFixed"); present(fixed)) {
    for (const Node& quantity : *fixed) {
      const std::string field = at("overhead.limits", quantity.key());
      validate_container_resource_name(quantity.key(), field, errors);
      validate_resource_quantity(quantity.key(), quantity, field, errors);
    }
  }
  const Node* scheduling = object.find("scheduling");
  if (!present(scheduling)) return;
  validate_tolerations(*scheduling, "scheduling", errors);
  std::set<std::string> seen;
  each(*scheduling, "tolerations", "scheduling", [&](const Node& toleration, const std::string& here) {
    std::string key;
    for (std::string_view part : {"key", "operator", "value", "effect"}) key.append(toleration.string_at(part)).append("\n");
    if (!seen.insert(key).second) errors.add({"FieldValueDuplicate", "Duplicate value: " + json::print(toleration), here});
  });
}

namespace {

void validate_strategy(const Node& spec, FieldErrors& errors) {
  const std::string_view strategy = spec.string_at("strategy");
  if (strategy.empty()) return;
  if (strategy.contains('/')) require_qualified_name(strategy, "spec.strategy", errors);
  else if (strategy != "OldestEmulationVersion") errors.not_supported("spec.strategy", strategy, {"OldestEmulationVersion"});
}

}  // namespace

void validate_lease(Draft& draft) {
  const Node& spec = draft.spec();
  constexpr FieldRule rules[] = {{"leaseDurationSeconds", Check::positive}, {"leaseTransitions", Check::not_negative}};
  check_fields(spec, rules, "spec", draft.errors);
  validate_strategy(spec, draft.errors);
  if (has_value(spec, "preferredHolder") && !has_value(spec, "strategy"))
    draft.errors.forbidden("spec.preferredHolder", "may only be specified if `strategy` is defined");
}

void validate_lease_candidate(Draft& draft) {
  const Node& spec = draft.spec();
  constexpr FieldRule rules[] = {{"leaseName", Check::required}, {"binaryVersion", Check::required}, {"strategy", Check::required}};
  check_fields(spec, rules, "spec", draft.errors);
  validate_strategy(spec, draft.errors);
  if (spec.string_at("strategy") == "OldestEmulationVersion" && !has_value(spec, "emulationVersion"))
    draft.errors.required("spec.emulationVersion", "must be specified when `strategy` is 'OldestEmulationVersion'");
  for (std::string_view field : {"binaryVersion", "emulationVersion"}) {
    const std::string_view version = spec.string_at(field);
    const auto parts = split(version.substr(0, version.find_first_of("-+")), '.');
    const bool valid =
        parts.size() == 3 && std::ranges::all_of(parts, [](std::string_view p) { return parse_number<uint64_t>(p).has_value(); });
    if (!version.empty() && !valid) draft.errors.invalid_string("spec." + std::string(field), version, "must be a valid semantic version");
  }
  if (!draft.creating()) require_unchanged(draft, "spec.leaseName");
}

}  // namespace estiba::apiserver::core
