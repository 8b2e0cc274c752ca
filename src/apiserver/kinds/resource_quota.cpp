#include <algorithm>
#include <set>

#include "apiserver/edit.h"
#include "apiserver/kinds/rules.h"
#include "apiserver/kinds/simple.h"
#include "base/strings.h"
#include "model/quota.h"

namespace estiba::apiserver::simple {
namespace {

using model::Quantity;

template <size_t N>
bool one_of(const std::string_view (&names)[N], std::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

bool is_standard(const std::string& name) { return !name.contains('/') && !model::quota::kinds_counted({{name, Quantity{}}}).empty(); }

bool is_counted_in_units(std::string_view name) {
  constexpr std::string_view units[] = {"pods",       "resourcequotas",         "services",           "replicationcontrollers", "secrets",
                                        "configmaps", "persistentvolumeclaims", "services.nodeports", "services.loadbalancers"};
  return one_of(units, name);
}

void check_hard(const json::Node& hard, FieldErrors& errors) {
  for (const json::Node& entry : hard) {
    const std::string name(entry.key()), path = at("spec.hard", entry.key());
    require_qualified_name(name, path, errors);
    if (!name.contains('/') && !is_standard(name)) errors.invalid_string(path, name, "must be a standard resource for quotas");
    const auto quantity = Quantity::parse(entry.is_number() ? entry.number_text() : entry.as_string());
    if (!quantity) continue;
    if (quantity->is_negative()) errors.invalid_string(path, quantity->print(), "must be greater than or equal to 0");
    if (is_counted_in_units(name) && quantity->to_milli() % 1000 != 0) errors.invalid_string(path, quantity->print(), "must be an integer");
  }
}

bool scope_fits(std::string_view scope, std::string_view name) {
  constexpr std::string_view compute[] = {"cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory"};
  if (scope == "BestEffort") return name == "pods";
  if (scope == "VolumeAttributesClass") return name == "persistentvolumeclaims" || name == "requests.storage";
  return name == "pods" || one_of(compute, name);
}

// What holds for the scopes of both spellings; `shown` is what the complaint shows.
void check_scopes(const std::set<std::string_view>& scopes, const json::Node* hard, const std::string& path, const json::Node* shown,
                  FieldErrors& errors) {
  for (std::string_view scope : scopes) {
    if (!present(hard)) break;
    for (const json::Node& entry : *hard)
      if (is_standard(std::string(entry.key())) && !scope_fits(scope, entry.key()))
        errors.invalid(path, shown, "unsupported scope applied to resource");
  }
  const bool effort = scopes.contains("BestEffort") && scopes.contains("NotBestEffort");
  const bool ending = scopes.contains("Terminating") && scopes.contains("NotTerminating");
  if (effort || ending) errors.invalid(path, shown, "conflicting scopes");
}

void check_expression(const json::Node& expression, const std::string& path, FieldErrors& errors) {
  const std::string_view scope = expression.string_at("scopeName"), op = expression.string_at("operator");
  if (scope != "PriorityClass" && scope != "VolumeAttributesClass" && op != "Exists")
    errors.invalid_string(path + ".operator", op,
                          "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, "
                          "ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity");
  const bool any = has_value(expression, "values");
  if ((op == "In" || op == "NotIn") && !any)
    errors.required(path + ".values", "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector");
  if ((op == "Exists" || op == "DoesNotExist") && any)
    errors.invalid(path + ".values", expression.find("values"),
                   "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector");
}

std::set<std::string_view> scopes_of(const json::Node* spec) {
  std::set<std::string_view> out;
  const json::Node* scopes = spec ? spec->find("scopes") : nullptr;
  if (present(scopes))
    for (const json::Node& scope : *scopes) out.insert(scope.as_string());
  return out;
}

}  // namespace

void validate_resource_quota(Draft& draft) {
  const json::Node& spec = draft.spec();
  const json::Node *hard = spec.find("hard"), *expressions = spec.at("scopeSelector", "matchExpressions");
  if (present(hard)) check_hard(*hard, draft.errors);
  check_scopes(scopes_of(&spec), hard, "spec.scopes", spec.find("scopes"), draft.errors);
  if (present(expressions)) {
    const std::string path = "spec.scopeSelector.matchExpressions";
    std::set<std::string_view> scopes;
    for (const json::Node& expression : *expressions) {
      scopes.insert(expression.string_at("scopeName"));
      check_expression(expression, path, draft.errors);
    }
    check_scopes(scopes, hard, path, expressions, draft.errors);
  }
  if (!draft.creating() && scopes_of(draft.old->find("spec")) != scopes_of(&spec))
    draft.errors.invalid("spec.scopes", spec.find("scopes"), "field is immutable");
}

}  // namespace estiba::apiserver::simple
