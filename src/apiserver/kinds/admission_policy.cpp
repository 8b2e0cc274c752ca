// ValidatingAdmissionPolicy, MutatingAdmissionPolicy and their bindings. (Kubernetes: pkg/apis/admissionregistration/v1/
// defaults.go and validation/validation.go.)
#include <set>

#include "apiserver/admission/matching.h"
#include "apiserver/admission/type_check.h"
#include "apiserver/edit.h"
#include "apiserver/kinds/rules.h"
#include "apiserver/kinds/simple.h"
#include "apiserver/kinds/webhook_rules.h"
#include "base/strings.h"
#include "model/names.h"

namespace estiba::apiserver::simple {
namespace {

using admission::Names;
using admission::Use;
using admission::Wanted;
using json::Document;
using json::Node;

constexpr size_t most_annotations = 20, longest_annotation = 5 * 1024;

void default_match_resources(Document& doc, Node& spec, std::string_view key) {
  Node* resources = spec.find(key);
  if (!present(resources)) return;
  default_string(doc, *resources, "matchPolicy", "Equivalent");
  ensure(doc, *resources, "namespaceSelector");
  ensure(doc, *resources, "objectSelector");
  for (std::string_view list : {"resourceRules", "excludeResourceRules"})
    if (Node* rules = resources->find(list); present(rules))
      for (Node& rule : *rules) default_string(doc, rule, "scope", "*");
}

void check_match_resources(const Node* resources, const std::string& path, FieldErrors& errors) {
  if (!present(resources)) return;
  require_one_of(resources->find("matchPolicy"), path + ".matchPolicy", {"Equivalent", "Exact"}, errors);
  for (std::string_view key : {"namespaceSelector", "objectSelector"})
    if (const Node* selector = resources->find(key); present(selector))
      validate_label_selector(*selector, path + "." + std::string(key), errors);
  for (std::string_view key : {"resourceRules", "excludeResourceRules"}) {
    const Node* rules = resources->find(key);
    if (!present(rules)) continue;
    size_t i = 0;
    for (const Node& rule : *rules) {
      const std::string where = at(path + "." + std::string(key), i++);
      std::set<std::string_view> seen;
      size_t n = 0;
      if (const Node* names = rule.find("resourceNames"); present(names)) {
        for (const Node& name : *names) {
          const std::string field = at(where + ".resourceNames", n++);
          require_path_segment(name.as_string(), field, errors);
          if (!seen.insert(name.as_string()).second) errors.duplicate(field, name.as_string());
        }
      }
      check_admission_rule(rule, where, errors);
    }
  }
}

void check_param_kind(const Node& kind, const std::string& path, FieldErrors& errors) {
  const std::string field = path + ".apiVersion";
  const std::string_view text = kind.string_at("apiVersion"), name = kind.string_at("kind");
  const auto [group, version] = model::schema::split_api_version(text);
  if (text.empty()) {
    errors.required(field);
  } else if (std::count(text.begin(), text.end(), '/') > 1) {
    errors.invalid_string(field, text, "unexpected GroupVersion string: " + std::string(text));
  } else {
    if (!group.empty())
      if (const auto problems = model::check_dns1123_subdomain(group); !problems.empty())
        errors.invalid_string(field, group, join(problems, ","));
    if (version.empty()) errors.invalid_string(field, text, "version must be specified");
    else if (const auto problems = model::check_dns1035_label(version); !problems.empty())
      errors.invalid_string(field, version, join(problems, ","));
  }
  if (name.empty()) errors.required(path + ".kind");
  else if (const auto problems = model::check_dns1035_label(to_lower(name)); !problems.empty())
    errors.invalid_string(path + ".kind", name, "may have mixed case, but should otherwise match: " + join(problems, ","));
}

bool is_identifier(std::string_view name) {
  static constexpr std::string_view reserved[] = {"true",     "false",   "null",      "in",       "as",  "break",  "const",
                                                  "continue", "else",    "for",       "function", "if",  "import", "let",
                                                  "loop",     "package", "namespace", "return",   "var", "void",   "while"};
  if (std::find(std::begin(reserved), std::end(reserved), name) != std::end(reserved)) return false;
  const auto letter = [](char c) { return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  return !name.empty() && letter(name[0]) &&
         std::all_of(name.begin(), name.end(), [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

// The policy's names with its variables; `kept` is what their types live in.
struct PolicyNames {
  std::unique_ptr<Names> names;
  std::vector<admission::Expression> kept;
};

PolicyNames check_variables(const Node& spec, bool always, const std::string& path, FieldErrors& errors) {
  const Node* variables = spec.find("variables");
  const bool some = present(variables) && !variables->empty();
  PolicyNames out;
  out.names = std::make_unique<Names>(Names::Types{.params = has(spec, "paramKind"), .variables = some || always});
  if (!some) return out;
  size_t i = 0;
  for (const Node& variable : *variables) {
    const std::string where = at(path + ".variables", i++);
    const std::string_view name = variable.string_at("name"), text = variable.string_at("expression");
    if (trim(name).empty()) errors.required(where + ".name", "name is not specified");
    else if (!is_identifier(name)) errors.invalid_string(where + ".name", name, "must be a valid CEL identifier");
    if (trim(text).empty()) {
      errors.required(where + ".expression", "expression is not specified");
      continue;
    }
    out.kept.push_back(admission::compile_expression(text, *out.names, Use::condition, Wanted::anything));
    const admission::Expression& made = out.kept.back();
    check_expression(made, text, where + ".expression", errors);
    out.names->add_variable(name, made.program ? &made.program->type() : nullptr);
  }
  return out;
}

void check_validation(const Node& validation, const Names& names, const std::string& path, FieldErrors& errors) {
  const std::string_view text = validation.string_at("expression"), message = validation.string_at("message");
  if (trim(text).empty()) errors.required(path + ".expression", "expression is not specified");
  else check_expression(admission::compile_expression(text, names, Use::condition, Wanted::boolean), text, path + ".expression", errors);
  const std::string_view said = validation.string_at("messageExpression");
  if (!said.empty() && trim(said).empty()) errors.invalid_string(path + ".messageExpression", said, "must be non-empty if specified");
  else if (!said.empty())
    check_expression(admission::compile_expression(said, names, Use::message, Wanted::text), said, path + ".messageExpression", errors);
  if (!message.empty() && trim(message).empty()) errors.invalid_string(path + ".message", message, "must be non-empty if specified");
  else if (trim(message).find_first_of("\n\r") != std::string_view::npos)
    errors.invalid_string(path + ".message", message, "must not contain line breaks");
  require_one_of(validation.find("reason"), path + ".reason", {"Forbidden", "Invalid", "RequestEntityTooLarge"}, errors);
}

void check_annotations(const Draft& draft, const Node& annotations, const Names& names, const std::string& path, FieldErrors& errors) {
  if (annotations.size() > most_annotations) errors.invalid(path, &annotations, "must not have more than 20 auditAnnotations");
  std::set<std::string_view> seen;
  size_t i = 0;
  for (const Node& annotation : annotations) {
    const std::string where = at(path, i++);
    const std::string_view key = annotation.string_at("key"), text = annotation.string_at("valueExpression");
    require_qualified_name(std::string(draft.name()) + "/" + std::string(key), where + ".key", errors);
    if (!seen.insert(key).second) errors.duplicate(where + ".key", key);
    const std::string_view trimmed = trim(text);
    if (trimmed.empty()) errors.required(where + ".valueExpression", "valueExpression is not specified");
    else if (trimmed.size() > longest_annotation) errors.required(where + ".valueExpression", "must not exceed 5120 bytes in length");
    else
      check_expression(admission::compile_expression(trimmed, names, Use::condition, Wanted::text_or_null), text,
                       where + ".valueExpression", errors);
  }
}

// What both kinds of policies have; null when there is no spec to look at.
const Node* check_policy(Draft& draft) {
  FieldErrors& errors = draft.errors;
  const Node* spec = draft.object.find("spec");
  if (!present(spec)) {
    errors.required("spec.matchConstraints");
    return nullptr;
  }
  require_one_of(spec->find("failurePolicy"), "spec.failurePolicy", {"Fail", "Ignore"}, errors);
  if (const Node* kind = spec->find("paramKind"); present(kind)) check_param_kind(*kind, "spec.paramKind", errors);
  const Node* resources = spec->find("matchConstraints");
  if (!present(resources)) {
    errors.required("spec.matchConstraints");
  } else {
    check_match_resources(resources, "spec.matchConstraints", errors);
    const Node* rules = resources->find("resourceRules");
    if (!present(rules) || rules->empty()) errors.required("spec.matchConstraints.resourceRules");
  }
  const Node *conditions = spec->find("matchConditions"), *old = draft.old ? draft.old->find("spec") : nullptr;
  // What has been accepted once stays accepted.
  const bool known =
      present(old) && same(old->find("matchConditions"), conditions) && same(old->find("paramKind"), spec->find("paramKind"));
  if (!known) check_match_conditions(conditions, Names({.params = has(*spec, "paramKind")}), "spec.matchConditions", errors);
  return spec;
}

void check_mutation(const Node& mutation, const Names& names, const std::string& path, FieldErrors& errors) {
  const std::string_view type = mutation.string_at("patchType");
  if (type.empty()) return errors.required(path + ".patchType");
  if (type != "ApplyConfiguration" && type != "JSONPatch")
    return errors.not_supported(path + ".patchType", type, {"ApplyConfiguration", "JSONPatch"});
  const bool patch = type == "JSONPatch";
  const std::string_view own = patch ? "jsonPatch" : "applyConfiguration", other = patch ? "applyConfiguration" : "jsonPatch";
  const std::string field = path + "." + std::string(own);
  if (has(mutation, other))
    errors.invalid_string(path + "." + std::string(other), "{" + std::string(other) + "}",
                          "must not be specified when patchType is " + std::string(type));
  const Node* given = mutation.find(own);
  const std::string_view text = mutation.string_at(own, "expression");
  if (!present(given)) return errors.required(field, "must be specified when patchType is " + std::string(type));
  if (trim(text).empty()) return errors.required(field + ".expression");
  check_expression(admission::compile_expression(trim(text), names, Use::mutation, patch ? Wanted::patches : Wanted::object), trim(text),
                   field + ".expression", errors);
}

void check_param_ref(const Node* ref, const std::string& path, FieldErrors& errors) {
  if (!present(ref)) return;
  const std::string_view name = ref->string_at("name");
  const Node* selector = ref->find("selector");
  if (!name.empty()) require_path_segment(name, path + ".name", errors);
  if (present(selector)) validate_label_selector(*selector, path + ".selector", errors);
  if (!name.empty() && present(selector))
    for (std::string_view field : {".name", ".selector"})
      errors.forbidden(path + std::string(field), "name and selector are mutually exclusive");
  if (name.empty() && !present(selector)) errors.required(path, "one of name or selector must be specified");
  if (ref->string_at("parameterNotFoundAction").empty()) errors.required(path + ".parameterNotFoundAction");
  else require_one_of(ref->find("parameterNotFoundAction"), path + ".parameterNotFoundAction", {"Deny", "Allow"}, errors);
}

// There is nothing to change about what goes.
void check_no_deletions(const Node& spec, std::string_view key, FieldErrors& errors) {
  const Node* rules = spec.at(key, "resourceRules");
  if (!present(rules)) return;
  for (const Node& rule : *rules)
    for (const std::string& operation : admission::strings_of(rule, "operations"))
      if (operation == "DELETE")
        errors.not_supported("spec." + std::string(key) + ".resourceRules.operations", operation, {"*", "CONNECT", "CREATE", "UPDATE"});
}

const Node* check_binding(Draft& draft) {
  const Node* spec = draft.object.find("spec");
  if (!present(spec)) {
    draft.errors.required("spec.policyName");
    return nullptr;
  }
  require_dns_subdomain(spec->string_at("policyName"), "spec.policyName", draft.errors);
  check_param_ref(spec->find("paramRef"), "spec.paramRef", draft.errors);
  check_match_resources(spec->find("matchResources"), "spec.matchResources", draft.errors);
  return spec;
}

}  // namespace

void default_admission_policy(Document& doc, Node& object) {
  Node* spec = object.find("spec");
  if (!present(spec)) return;
  default_string(doc, *spec, "failurePolicy", "Fail");
  default_match_resources(doc, *spec, "matchConstraints");
}

void default_admission_binding(Document& doc, Node& object) {
  if (Node* spec = object.find("spec"); present(spec)) default_match_resources(doc, *spec, "matchResources");
}

void prepare_validating_policy(Draft& draft) {
  const Node* old_spec = draft.old ? draft.old->find("spec") : nullptr;
  if (draft.old && same(old_spec, draft.object.find("spec"))) return draft.keep_old("status");
  if (draft.old) draft.keep_old("status");
  else draft.doc.remove(draft.object, "status");
  const Node* generation = draft.old ? draft.old->at("metadata", "generation") : nullptr;
  const int64_t next = (generation ? generation->as_int().value_or(0) : 0) + 1;
  Node& status = draft.status();
  set_int(draft.doc, status, "observedGeneration", next);
  Node& checking = draft.doc.set(status, "typeChecking", draft.doc.make_object());
  for (const admission::ExpressionWarning& warning : admission::check_types(draft.cluster, draft.object)) {
    Node& item = draft.doc.append(ensure_array(draft.doc, checking, "expressionWarnings"), draft.doc.make_object());
    draft.doc.set(item, "fieldRef", warning.field);
    draft.doc.set(item, "warning", warning.warning);
  }
}

void validate_validating_policy(Draft& draft) {
  FieldErrors& errors = draft.errors;
  const Node* spec = check_policy(draft);
  if (!spec) return;
  const PolicyNames known = check_variables(*spec, false, "spec", errors);
  const Node *validations = spec->find("validations"), *annotations = spec->find("auditAnnotations");
  const bool none = (!present(validations) || validations->empty()) && (!present(annotations) || annotations->empty());
  if (none) {
    for (std::string_view field : {"spec.validations", "spec.auditAnnotations"})
      errors.required(std::string(field), "validations or auditAnnotations must contain at least one item");
    return;
  }
  size_t i = 0;
  if (present(validations))
    for (const Node& validation : *validations) check_validation(validation, *known.names, at("spec.validations", i++), errors);
  if (present(annotations)) check_annotations(draft, *annotations, *known.names, "spec.auditAnnotations", errors);
}

void validate_mutating_policy(Draft& draft) {
  FieldErrors& errors = draft.errors;
  const Node* spec = check_policy(draft);
  if (!spec) return;
  check_no_deletions(*spec, "matchConstraints", errors);
  const PolicyNames known = check_variables(*spec, true, "spec", errors);
  const Node* mutations = spec->find("mutations");
  if (!present(mutations) || mutations->empty()) errors.required("spec.mutations", "mutations must contain at least one item");
  size_t i = 0;
  if (present(mutations))
    for (const Node& mutation : *mutations) check_mutation(mutation, *known.names, at("spec.mutations", i++), errors);
  if (spec->string_at("reinvocationPolicy").empty()) errors.required("spec.reinvocationPolicy");
  else require_one_of(spec->find("reinvocationPolicy"), "spec.reinvocationPolicy", {"IfNeeded", "Never"}, errors);
}

void validate_validating_binding(Draft& draft) {
  const Node* spec = check_binding(draft);
  if (!spec) return;
  const std::string path = "spec.validationActions";
  const Node* actions = spec->find("validationActions");
  if (!present(actions) || actions->empty()) return draft.errors.required(path, "at least one validation action is required");
  std::set<std::string_view> seen;
  size_t i = 0;
  for (const Node& action : *actions) {
    const std::string field = at(path, i++);
    if (!seen.insert(action.as_string()).second) draft.errors.duplicate(field, action.as_string());
    require_one_of(&action, field, {"Audit", "Deny", "Warn"}, draft.errors);
  }
  if (seen.contains("Deny") && seen.contains("Warn"))
    draft.errors.invalid(path, actions,
                         "must not contain both Deny and Warn (repeating the same validation failure information in the API response and "
                         "headers serves no purpose)");
}

void validate_mutating_binding(Draft& draft) {
  if (const Node* spec = check_binding(draft)) check_no_deletions(*spec, "matchResources", draft.errors);
}

}  // namespace estiba::apiserver::simple
