// What a CustomResourceDefinition may say, but for the schemas themselves (definition_schema.cpp).
//
// What all versions say alike is reported once, as spec.validation, spec.subresources, spec.additionalPrinterColumns and
// spec.selectableFields: so Kubernetes words it.
#include <set>

#include "apiserver/custom/values.h"
#include "apiserver/edit.h"
#include "apiserver/kinds/definition.h"
#include "apiserver/kinds/rules.h"
#include "apiserver/kinds/webhook_rules.h"
#include "base/strings.h"
#include "model/custom/definition.h"
#include "model/names.h"

namespace estiba::apiserver::definition {
namespace {

using json::Node;

constexpr std::string_view column_types[] = {"boolean", "date", "integer", "number", "string"};
constexpr std::string_view column_formats[] = {"byte", "date", "date-time", "double", "float", "int32", "int64", "password"};
constexpr size_t most_selectable = 8;

template <size_t N>
std::string listed(const std::string_view (&values)[N]) {
  std::string out;
  for (std::string_view value : values) out.append(out.empty() ? "" : ",").append(value);
  return out;
}

template <size_t N>
bool one_of(std::string_view value, const std::string_view (&values)[N]) {
  return std::find(std::begin(values), std::end(values), value) != std::end(values);
}

void check_label(std::string_view value, const std::string& field, FieldErrors& errors, std::string_view before = {}) {
  const auto problems = model::check_dns1035_label(before.empty() ? std::string(value) : to_lower(value));
  if (!problems.empty()) errors.invalid_string(field, value, std::string(before) + join(problems, ","));
}

void check_names(const Node& names, const std::string& path, bool whole, FieldErrors& errors) {
  constexpr std::string_view mixed = "may have mixed case, but should otherwise match: ";
  for (std::string_view key : {"plural", "singular", "kind", "listKind"}) {
    const std::string_view value = names.string_at(key);
    const std::string field = path + "." + std::string(key);
    if (value.empty()) {
      if (whole) errors.required(field);
    } else {
      check_label(value, field, errors, key == "kind" || key == "listKind" ? mixed : std::string_view());
    }
  }
  for (std::string_view key : {"shortNames", "categories"}) {
    const Node* list = names.find(key);
    if (!present(list)) continue;
    size_t i = 0;
    for (const Node& name : *list) check_label(name.as_string(), at(path + "." + std::string(key), i++), errors);
  }
  if (!names.string_at("kind").empty() && names.string_at("kind") == names.string_at("listKind"))
    errors.invalid_string(path + ".listKind", names.string_at("listKind"), "kind and listKind may not be the same");
}

void check_simple_path(std::string_view path, const std::string& field, FieldErrors& errors) {
  if (!path.starts_with('.')) errors.invalid_string(field, path, "must be a simple json path starting with .");
}

void check_column(const Node& column, const std::string& path, FieldErrors& errors) {
  const std::string_view type = column.string_at("type"), format = column.string_at("format"), json_path = column.string_at("jsonPath");
  if (column.string_at("name").empty()) errors.required(path + ".name");
  if (type.empty()) errors.required(path + ".type", "must be one of " + listed(column_types));
  else if (!one_of(type, column_types)) errors.invalid_string(path + ".type", type, "must be one of " + listed(column_types));
  if (!format.empty() && !one_of(format, column_formats))
    errors.invalid_string(path + ".format", format, "must be one of " + listed(column_formats));
  if (json_path.empty()) errors.required(path + ".JSONPath");
  else check_simple_path(json_path, path + ".JSONPath", errors);
}

void check_subresources(const Node& subresources, const std::string& path, FieldErrors& errors) {
  const Node* scale = subresources.find("scale");
  if (!scale) return;
  struct Rule {
    std::string_view key;
    std::initializer_list<std::string_view> prefixes;
    std::string_view message;
    bool required;
  };
  const Rule rules[] = {{"specReplicasPath", {".spec."}, "should be a json path under .spec", true},
                        {"statusReplicasPath", {".status."}, "should be a json path under .status", true},
                        {"labelSelectorPath", {".spec.", ".status."}, "should be a json path under either .spec or .status", false}};
  for (const Rule& rule : rules) {
    const std::string field = path + ".scale." + std::string(rule.key);
    const std::string_view value = scale->string_at(rule.key);
    if (value.empty()) {
      if (rule.required) errors.required(field);
    } else if (value[0] != '.') {
      check_simple_path(value, field, errors);
    } else if (std::none_of(rule.prefixes.begin(), rule.prefixes.end(),
                            [&](std::string_view prefix) { return value.starts_with(prefix); })) {
      errors.invalid_string(field, value, rule.message);
    }
  }
}

// The schema at ".spec.color" or ".spec['color']"; null when nothing declares it.
const model::Structural* schema_at(const model::Structural& root, std::string_view path) {
  const model::Structural* here = &root;
  while (!path.empty() && here) {
    if (path[0] != '.') return nullptr;
    path.remove_prefix(1);
    const size_t end = std::min(path.find('.'), path.size());
    const std::string_view name = path.substr(0, end);
    if (name.empty() || name.find('[') != std::string_view::npos) return nullptr;
    here = here->member(name);
    path.remove_prefix(end);
  }
  return here;
}

void check_selectable(const Node& fields, const Node* schema, const std::string& path, FieldErrors& errors) {
  if (!present(schema)) return errors.invalid_string(path, "", "may only be set when `version.schema.openAPIV3Schema` is not included");
  const model::Structural structural = model::Structural::parse(*schema);
  std::set<std::string_view> seen;
  size_t i = 0;
  for (const Node& field : fields) {
    const std::string where = at(path, i++) + ".jsonPath";
    const std::string_view json_path = field.string_at("jsonPath");
    if (json_path.empty()) {
      errors.required(where);
      continue;
    }
    const model::Structural* found = schema_at(structural, json_path);
    if (json_path.starts_with(".metadata")) {
      errors.invalid_string(where, json_path, "must not point to fields in metadata");
    } else if (!found) {
      errors.invalid_string(where, json_path, "is an invalid path: does not refer to a valid field");
      continue;
    }
    using Type = model::Structural::Type;
    if (!found || (found->type != Type::string && found->type != Type::boolean && found->type != Type::integer))
      errors.invalid_string(
          where, json_path,
          "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.");
    if (!seen.insert(json_path).second) errors.duplicate(where, json_path);
  }
  if (seen.size() > most_selectable)
    errors.add({"FieldValueTooMany", "Too many: " + std::to_string(seen.size()) + ": must have at most 8 items", path});
}

// Whether all versions have a member and the same one; Kubernetes then holds it once, for the whole definition.
bool said_once(const Node& versions, std::string_view key) {
  if (versions.empty()) return false;
  const Node* first = versions[0].find(key);
  if (!present(first) || (first->is_array() && first->empty())) return false;
  return std::all_of(versions.begin(), versions.end(), [&](const Node& version) { return same(version.find(key), first); });
}

// Calls `visit(version, path of the member)` for each version that has the member, or once for all.
template <class F>
void each_said(const Node& versions, std::string_view key, std::string_view once, F&& visit) {
  if (said_once(versions, key)) return visit(versions[0], "spec." + std::string(once));
  size_t i = 0;
  for (const Node& version : versions) {
    const std::string path = at("spec.versions", i++) + "." + std::string(key);
    if (present(version.find(key))) visit(version, path);
  }
}

bool status_enabled(const Node& version) { return version.at("subresources", "status") != nullptr; }

void check_deprecation(const Node& version, const std::string& path, FieldErrors& errors) {
  const Node* warning = version.find("deprecationWarning");
  if (!present(warning)) return;
  const Node* deprecated = version.find("deprecated");
  const std::string_view text = warning->as_string();
  const std::string field = path + ".deprecationWarning";
  if (!deprecated || !deprecated->as_bool()) return errors.invalid(field, warning, "can only be set for deprecated versions");
  if (text.size() > 256) errors.invalid(field, warning, "must be <= 256 characters long");
  if (text.empty()) errors.invalid(field, warning, "must not be an empty string");
  const auto control = std::find_if(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
  if (control != text.end())
    errors.invalid(
        field, warning,
        "must only contain printable UTF-8 characters; non-printable character found at index " + std::to_string(control - text.begin()));
}

void check_versions(const Node& versions, FieldErrors& errors) {
  size_t i = 0, storage = 0;
  std::set<std::string_view> names;
  bool unique = true;
  for (const Node& version : versions) {
    const std::string path = at("spec.versions", i++);
    check_label(version.string_at("name"), path + ".name", errors);
    unique &= names.insert(version.string_at("name")).second;
    const Node* stores = version.find("storage");
    storage += stores && stores->as_bool();
    check_deprecation(version, path, errors);
    if (!present(version.at("schema", "openAPIV3Schema"))) errors.required(path + ".schema.openAPIV3Schema");
  }
  each_said(versions, "schema", "validation", [&](const Node& version, const std::string& path) {
    if (const Node* schema = version.at("schema", "openAPIV3Schema"); present(schema))
      check_schema(*schema, path + ".openAPIV3Schema", status_enabled(version), errors);
  });
  each_said(versions, "subresources", "subresources",
            [&](const Node& version, const std::string& path) { check_subresources(*version.find("subresources"), path, errors); });
  each_said(versions, "additionalPrinterColumns", "additionalPrinterColumns", [&](const Node& version, const std::string& path) {
    size_t column = 0;
    for (const Node& each : *version.find("additionalPrinterColumns")) check_column(each, at(path, column++), errors);
  });
  each_said(versions, "selectableFields", "selectableFields", [&](const Node& version, const std::string& path) {
    if (!version.find("selectableFields")->empty())
      check_selectable(*version.find("selectableFields"), version.at("schema", "openAPIV3Schema"), path, errors);
  });
  if (!unique) errors.invalid("spec.versions", &versions, "must contain unique version names");
  if (storage != 1) errors.invalid("spec.versions", &versions, "must have exactly one version marked as storage version");
}

void check_conversion(const Node* conversion, FieldErrors& errors) {
  if (!present(conversion)) return;
  const std::string path = "spec.conversion";
  const std::string_view strategy = conversion->string_at("strategy");
  const Node* webhook = conversion->find("webhook");
  if (strategy.empty()) return errors.required(path + ".strategy");
  if (strategy != "None" && strategy != "Webhook") return errors.not_supported(path + ".strategy", strategy, {"None", "Webhook"});
  if (strategy == "None") {
    if (present(webhook) && present(webhook->find("clientConfig")))
      errors.forbidden(path + ".webhookClientConfig", "should not be set when strategy is not set to Webhook");
    if (present(webhook) && has_value(*webhook, "conversionReviewVersions"))
      errors.forbidden(path + ".conversionReviewVersions", "should not be set when strategy is not set to Webhook");
    return;
  }
  const Node* config = present(webhook) ? webhook->find("clientConfig") : nullptr;
  const std::string field = path + ".webhookClientConfig";
  if (!present(config)) {
    errors.required(field, "required when strategy is set to Webhook");
  } else {
    check_webhook_client(config, field, errors);
  }
  check_review_versions(present(webhook) ? webhook->find("conversionReviewVersions") : nullptr, path + ".conversionReviewVersions", "",
                        errors);
}

void check_stored_versions(const Node& object, const Node& versions, FieldErrors& errors) {
  const std::string path = "status.storedVersions";
  const Node* stored = object.at("status", "storedVersions");
  if (!present(stored) || stored->empty()) return errors.invalid(path, std::string_view("[]"), "must have at least one stored version");
  size_t i = 0;
  for (const Node& name : *stored) {
    const std::string field = at(path, i++), text(name.as_string());
    const bool there =
        std::any_of(versions.begin(), versions.end(), [&](const Node& version) { return version.string_at("name") == text; });
    if (!there)
      errors.invalid(field, &name,
                     "missing from spec.versions; " + text +
                         " was previously a storage version, and must remain in spec.versions until a storage "
                         "migration ensures no data remains persisted in " +
                         text + " and removes " + text + " from status.storedVersions");
  }
}

void check_unchanged(const Draft& draft) {
  const auto compare = [&](std::string_view path) {
    const Node* now = follow(draft.object, path);
    if (!same(follow(*draft.old, path), now)) draft.errors.invalid(std::string(path), now, "field is immutable");
  };
  if (model::has_condition(*draft.old, "Established"))
    for (std::string_view path : {"spec.scope", "spec.names.kind"}) compare(path);
  for (std::string_view path : {"spec.group", "spec.names.plural"}) compare(path);
}

void check_approval(const Draft& draft) {
  const Approval now = approval_of(draft.object);
  if (!now.refused() || (draft.old && approval_of(*draft.old).reason == now.reason)) return;
  const std::string field = at("metadata.annotations", approval_annotation);
  if (now.missing()) draft.errors.required(field, now.message);
  else draft.errors.invalid_string(field, draft.object.string_at("metadata", "annotations", approval_annotation), now.message);
}

// Formats that no check knows are let pass, with a warning.
void warn_of_formats(const Node& schema, std::set<std::string>& seen) {
  if (const std::string_view format = schema.string_at("format"); !format.empty()) {
    const model::Structural parsed = model::Structural::parse(schema);
    if (!model::is_known_format(parsed.type, format)) seen.insert(std::string(format));
  }
  for (std::string_view key : {"items", "not", "additionalProperties"})
    if (const Node* below = schema.find(key); below && below->is_object()) warn_of_formats(*below, seen);
  for (std::string_view key : {"properties", "allOf", "anyOf", "oneOf"})
    if (const Node* list = schema.find(key); list && !list->is_null())
      for (const Node& below : *list) warn_of_formats(below, seen);
}

std::set<std::string> unknown_formats(const Node& object) {
  std::set<std::string> out;
  if (const Node* versions = object.at("spec", "versions"))
    for (const Node& version : *versions)
      if (const Node* schema = version.at("schema", "openAPIV3Schema"); present(schema)) warn_of_formats(*schema, out);
  return out;
}

}  // namespace

void validate(Draft& draft) {
  FieldErrors& errors = draft.errors;
  const Node& object = draft.object;
  const Node* spec = object.find("spec");
  if (!present(spec)) return;
  const std::string_view group = spec->string_at("group"), scope = spec->string_at("scope");
  const std::string name = std::string(spec->string_at("names", "plural")) + "." + std::string(group);
  if (draft.creating() && draft.name() != name)
    errors.invalid_string("metadata.name", draft.name(), "must be spec.names.plural+\".\"+spec.group");
  if (!group.empty()) {
    const auto problems = model::check_dns1123_subdomain(group);
    if (!problems.empty()) errors.invalid_string("spec.group", group, join(problems, ","));
    else if (group.find('.') == std::string_view::npos)
      errors.invalid_string("spec.group", group, "should be a domain with at least one dot");
  }
  if (!scope.empty() && scope != "Cluster" && scope != "Namespaced") errors.not_supported("spec.scope", scope, {"Cluster", "Namespaced"});
  if (const Node* names = spec->find("names"); present(names)) check_names(*names, "spec.names", true, errors);
  if (const Node* versions = spec->find("versions"); present(versions)) {
    check_versions(*versions, errors);
    check_stored_versions(object, *versions, errors);
  }
  check_conversion(spec->find("conversion"), errors);
  const Node* preserve = spec->find("preserveUnknownFields");
  if (preserve && preserve->as_bool())
    errors.invalid("spec.preserveUnknownFields", preserve,
                   "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead");
  check_approval(draft);
  if (!draft.creating()) check_unchanged(draft);
  const std::set<std::string> before = draft.old ? unknown_formats(*draft.old) : std::set<std::string>();
  for (const std::string& format : unknown_formats(object))
    if (!before.contains(format)) draft.warnings.push_back("unrecognized format " + quoted(format));
}

}  // namespace estiba::apiserver::definition
