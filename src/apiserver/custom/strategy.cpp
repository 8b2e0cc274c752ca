#include "apiserver/custom/strategy.h"

#include "apiserver/custom/values.h"
#include "apiserver/edit.h"
#include "apiserver/kinds/simple.h"
#include "base/strings.h"
#include "model/names.h"

namespace estiba::apiserver {
namespace {

using json::Node;
using model::CustomVersion;

const CustomVersion& version_of(const Draft& draft) { return *model::custom_of(*draft.action.resource); }

void prepare(Draft& draft) {
  if (version_of(draft).status) simple::reset_status(draft);
}

void check_replicas(const Draft& draft, const std::string& path) {
  const Node* value = follow(draft.object, path);
  if (!present(value)) return;
  const std::string field = "." + path;
  const auto number = value->as_int();
  if (!number) {
    const std::string_view type = value->is_string()   ? "string"
                                  : value->is_number() ? "float64"
                                  : value->is_bool()   ? "bool"
                                                       : "an object or list";
    const std::string shown = value->is_string() ? std::string(value->as_string()) : json::print(*value);
    return draft.errors.invalid(field, std::string_view("0"),
                                field + " accessor error: " + shown + " is of the type " + std::string(type) + ", expected int64");
  }
  if (*number < 0) draft.errors.invalid(field, value, "should be a non-negative integer");
  if (*number > INT32_MAX) draft.errors.invalid(field, value, "should be less than or equal to 2147483647");
}

void check_scale(Draft& draft, bool spec) {
  const auto& scale = version_of(draft).scale;
  if (!scale) return;
  if (spec) check_replicas(draft, scale->spec_replicas);
  check_replicas(draft, scale->status_replicas);
  if (scale->selector.empty()) return;
  const Node* selector = follow(draft.object, scale->selector);
  const std::string field = "." + scale->selector;
  if (present(selector) && !selector->is_string())
    draft.errors.invalid_string(field, "", field + " accessor error: " + json::print(*selector) + " is no string");
}

// Kubernetes' advice about finalizers that are not of the form example.com/name.
void warn_of_finalizers(Draft& draft) {
  const Node* finalizers = draft.metadata().find("finalizers");
  const Node* before = draft.old ? draft.old->at("metadata", "finalizers") : nullptr;
  if (!present(finalizers)) return;
  for (const Node& finalizer : *finalizers) {
    const std::string_view name = finalizer.as_string();
    const bool known = before && std::any_of(before->begin(), before->end(), [&](const Node& other) { return other.as_string() == name; });
    if (known || name.find('/') != std::string_view::npos || name == "orphan" || name == "foregroundDeletion" || name == "kubernetes")
      continue;
    draft.warnings.push_back(
        "metadata.finalizers: " + quoted(name) +
        (name.find('.') != std::string_view::npos
             ? ": prefer a domain-qualified finalizer name including a path (/) to avoid accidental conflicts with other "
               "finalizer writers"
             : ": prefer a domain-qualified finalizer name to avoid accidental conflicts with other finalizer writers"));
  }
}

bool has_repeated(const Node& object, const model::Structural& schema) {
  FieldErrors errors;
  check_lists(object, schema, "", errors);
  return !errors.empty();
}

// Sets and maps that were wrong before may stay so.
void check_list_types(Draft& draft, const model::Structural& schema) {
  if (!draft.old || !has_repeated(*draft.old, schema)) check_lists(draft.object, schema, "", draft.errors);
}

// Rules say nothing sensible of objects that are not even of the right shape.
void check_rules_of(Draft& draft, const CustomVersion& version) {
  const Rules* rules = checks_of(version)->rules.get();
  if (!rules) return;
  static constexpr std::string_view blocking[] = {"FieldValueNotSupported", "FieldValueRequired", "FieldValueTooLong", "FieldValueTooMany",
                                                  "FieldValueTypeInvalid"};
  const auto& causes = draft.errors.causes();
  const bool blocked = std::any_of(causes.begin(), causes.end(), [](const FieldCause& cause) {
    return std::find(std::begin(blocking), std::end(blocking), cause.reason) != std::end(blocking);
  });
  if (!blocked) return rules->check(draft.object, version.schema, draft.old, draft.errors);
  draft.errors.invalid(
      "<nil>", std::string_view("null"),
      "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation");
}

void validate(Draft& draft) {
  const CustomVersion& version = version_of(draft);
  check_value(draft.object, version.schema, *checks_of(version), draft.old, "", draft.errors);
  check_scale(draft, true);
  check_embedded(draft.object, version.schema, "", draft.errors);
  check_list_types(draft, version.schema);
  check_rules_of(draft, version);
  warn_of_finalizers(draft);
}

void validate_status(Draft& draft) {
  const CustomVersion& version = version_of(draft);
  const Node* status = draft.object.find("status");
  const auto schema = version.schema.properties.find("status");
  if (status && schema != version.schema.properties.end())
    check_value(*status, schema->second, *checks_of(version), draft.old->find("status"), "status", draft.errors);
  check_scale(draft, false);
  check_list_types(draft, version.schema);
  check_rules_of(draft, version);
}

}  // namespace

const Strategy& custom_strategy() {
  static const Strategy strategy{.prepare = prepare, .validate = validate, .validate_status = validate_status, .generation = true};
  return strategy;
}

void conform_stored(json::Document& doc, Node& object, const CustomVersion& version) {
  (void)model::coerce_metadata(doc, object, &version.schema, true, true);
  model::prune(doc, object, version.schema, true);
  model::set_defaults(doc, object, version.schema);
}

Result<model::ObjectPtr> custom_in_version(const model::ObjectPtr& object, const CustomVersion& wanted) {
  const auto [group, name] = model::schema::split_api_version(object->meta().api_version);
  const CustomVersion* stored = wanted.definition->version(name);
  const bool same = name == wanted.name;
  json::Document doc = TRY(json::Document::parse(object->json()));
  if (same || !wanted.definition->converts_by_webhook()) {
    if (!same) doc.set(doc.root(), "apiVersion", model::schema::join_api_version(wanted.resource.group, wanted.name));
    conform_stored(doc, doc.root(), wanted);
  } else if (stored) {
    conform_stored(doc, doc.root(), *stored);
  }
  auto made = TRY(model::Object::make(doc.root()));
  return made->json() == object->json() ? object : made;
}

}  // namespace estiba::apiserver
