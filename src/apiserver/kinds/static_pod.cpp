#include "apiserver/kinds/static_pod.h"

#include "apiserver/edit.h"
#include "apiserver/field_errors.h"
#include "apiserver/kinds/pod.h"
#include "apiserver/kinds/pod_spec.h"
#include "base/strings.h"
#include "model/check.h"
#include "model/names.h"
#include "model/schema.h"

namespace estiba::apiserver {

namespace {

void check_name(const json::Node& object, std::string_view field, model::Problems (*check)(std::string_view), FieldErrors& errors) {
  const std::string_view name = object.string_at("metadata", field);
  for (const std::string& problem : check(name)) errors.invalid_string("metadata." + std::string(field), name, problem);
}

}  // namespace

Result<void> complete_static_pod(json::Document& doc) {
  const model::schema::Type& type = *model::schema::find_kind("v1", "Pod");
  json::Node& object = doc.root();
  TRY(model::conform(doc, object, type));
  model::set_defaults(doc, object, type);
  pod::defaults(doc, object);
  FieldErrors errors;
  check_name(object, "name", model::check_dns1123_subdomain, errors);
  check_name(object, "namespace", model::check_dns1123_label, errors);
  for (FieldCause& cause : model::check_required(object, type)) errors.add(std::move(cause));
  const json::Node& metadata = doc.ensure_object(object, "metadata");
  validate_pod_spec(doc.ensure_object(object, "spec"), "spec", errors, &metadata);
  if (has_value(doc.ensure_object(object, "spec"), "ephemeralContainers"))
    errors.forbidden("spec.ephemeralContainers", "cannot be set on create");
  if (errors.empty()) return {};
  std::vector<std::string> all;
  for (const FieldCause& cause : errors.take()) all.push_back(cause.field + ": " + cause.message);
  return fail(Code::invalid, join(all, ", "));
}

}  // namespace estiba::apiserver
