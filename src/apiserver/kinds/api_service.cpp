// APIService (k8s.io/kube-aggregator, pkg/apis/apiregistration/validation).
#include "apiserver/cluster.h"
#include "apiserver/edit.h"
#include "apiserver/kinds/rules.h"
#include "apiserver/kinds/simple.h"
#include "base/strings.h"
#include "base/time.h"
#include "model/names.h"

namespace estiba::apiserver::simple {
namespace {

constexpr int64_t highest_group_priority = 20000, highest_version_priority = 1000;

void require_priority(const json::Node* value, std::string field, int64_t highest, FieldErrors& errors) {
  const int64_t number = present(value) ? value->as_int().value_or(0) : 0;
  if (number > 0 && number <= highest) return;
  errors.invalid(std::move(field), std::string_view(std::to_string(number)), "must be positive and less than " + std::to_string(highest));
}

void validate_service_reference(const json::Node& spec, const json::Node& service, bool insecure, FieldErrors& errors) {
  if (service.string_at("namespace").empty()) errors.required("spec.service.namespace");
  if (service.string_at("name").empty()) errors.required("spec.service.name");
  const json::Node* port = service.find("port");
  const int64_t number = present(port) ? port->as_int().value_or(0) : 0;
  if (number < 1 || number > 65535) {
    errors.invalid("spec.service.port", std::string_view(std::to_string(number)),
                   "port is not valid: must be between 1 and 65535, inclusive");
  }
  if (insecure && has_value(spec, "caBundle"))
    errors.invalid("spec.insecureSkipTLSVerify", std::string_view("true"), "may not be true if caBundle is present");
}

}  // namespace

void default_api_service(json::Document& doc, json::Node& object) {
  json::Node* spec = object.find("spec");
  json::Node* service = spec ? spec->find("service") : nullptr;
  if (present(service)) default_int(doc, *service, "port", 443);
}

void prepare_api_service(Draft& draft) {
  reset_status(draft);
  if (!draft.creating() || has(draft.spec(), "service")) return;
  json::Document& doc = draft.doc;
  json::Node& condition = doc.append(ensure_array(doc, draft.status(), "conditions"), doc.make_object());
  doc.set(condition, "type", "Available");
  doc.set(condition, "status", "True");
  doc.set(condition, "lastTransitionTime", format_rfc3339(draft.cluster.now()));
  doc.set(condition, "reason", "Local");
  doc.set(condition, "message", "Local APIServices are always available");
}

void validate_api_service(Draft& draft) {
  const json::Node& spec = draft.spec();
  FieldErrors& errors = draft.errors;
  const std::string_view group = spec.string_at("group"), version = spec.string_at("version");
  const std::string name = std::string(version) + "." + std::string(group);
  if (draft.name() != name)
    errors.invalid_string("metadata.name", draft.name(), "must be `spec.version+\".\"+spec.group`: " + quoted(name));
  if (group.empty() && version != "v1") errors.required("spec.group", "only v1 may have an empty group and it better be legacy kube");
  if (!group.empty()) require_dns_subdomain(group, "spec.group", errors);
  for (const std::string& problem : model::check_dns1035_label(version)) errors.invalid_string("spec.version", version, problem);
  require_priority(spec.find("groupPriorityMinimum"), "spec.groupPriorityMinimum", highest_group_priority, errors);
  require_priority(spec.find("versionPriority"), "spec.versionPriority", highest_version_priority, errors);
  const json::Node *service = spec.find("service"), *flag = spec.find("insecureSkipTLSVerify");
  const bool insecure = present(flag) && flag->as_bool();
  if (present(service)) return validate_service_reference(spec, *service, insecure, errors);
  if (has_value(spec, "caBundle")) {
    const auto bundle = base64_decode(spec.string_at("caBundle"));
    errors.invalid_string("spec.caBundle", std::to_string(bundle ? bundle->size() : 0) + " bytes",
                          "local APIServices may not have a caBundle");
  }
  if (insecure)
    errors.invalid("spec.insecureSkipTLSVerify", std::string_view("true"), "local APIServices may not have insecureSkipTLSVerify");
}

void validate_api_service_status(Draft& draft) {
  const json::Node* conditions = draft.status().find("conditions");
  for (size_t i = 0; present(conditions) && i < conditions->size(); ++i) {
    const std::string_view status = (*conditions)[i].string_at("status");
    if (status != "True" && status != "False" && status != "Unknown")
      draft.errors.not_supported(at("status.conditions", i) + ".status", status, {"True", "False", "Unknown"});
  }
}

}  // namespace estiba::apiserver::simple
