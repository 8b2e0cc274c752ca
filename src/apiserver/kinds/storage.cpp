// pkg/apis/storage/validation/validation.go
#include "apiserver/kinds/storage.h"

#include <algorithm>

#include "apiserver/edit.h"
#include "apiserver/kinds/field_rules.h"
#include "apiserver/kinds/persistent_volume.h"
#include "apiserver/kinds/rules.h"
#include "base/strings.h"

namespace estiba::apiserver::storage {
namespace {

using json::Node;

constexpr size_t max_parameters = 512, max_parameter_bytes = 256 * 1024;

size_t bytes_of(const Node& map) {
  size_t total = 0;
  for (const Node& entry : map) total += entry.key().size() + entry.as_string().size();
  return total;
}

void validate_parameters(const Node& object, FieldErrors& errors) {
  const Node* parameters = object.find("parameters");
  if (!present(parameters)) return;
  if (parameters->size() > max_parameters) return errors.too_long("parameters", max_parameters);
  for (const Node& entry : *parameters) {
    if (entry.key().empty()) errors.invalid_string("parameters", "", "field can not be empty.");
  }
  if (bytes_of(*parameters) > max_parameter_bytes) errors.too_long("parameters", max_parameter_bytes);
}

void validate_provisioner(const Node& object, std::string_view field, FieldErrors& errors) {
  const std::string_view name = object.string_at(field);
  if (name.empty()) errors.required(std::string(field));
  else require_qualified_name(to_lower(name), std::string(field), errors);
}

void validate_topologies(const Node& object, FieldErrors& errors) {
  each(object, "allowedTopologies", "", [&](const Node& term, const std::string& here) {
    std::set<std::string, std::less<>> keys;
    each(term, "matchLabelExpressions", here, [&](const Node& expression, const std::string& where) {
      const std::string_view key = expression.string_at("key");
      if (!keys.emplace(key).second) errors.duplicate(where + ".key", key);
      require_qualified_name(key, where + ".key", errors);
      if (!has_value(expression, "values")) errors.required(where + ".values");
      std::set<std::string, std::less<>> values;
      each(expression, "values", where, [&](const Node& value, const std::string& at_value) {
        if (!values.emplace(value.as_string()).second) errors.duplicate(at_value, value.as_string());
      });
    });
  });
}

void validate_volume_error(const Node& status, std::string_view member, FieldErrors& errors) {
  const Node* error = status.find(member);
  if (!present(error)) return;
  constexpr FieldRule rules[] = {{"message", Check::max_bytes, "1024"}, {"errorCode", Check::range, "0 2147483647"}};
  check_fields(*error, rules, "status." + std::string(member), errors);
}

}  // namespace

void validate_storage_class(Draft& draft) {
  const Node& object = draft.object;
  constexpr FieldRule rules[] = {{"reclaimPolicy", Check::one_of, "Delete Retain"},
                                 {"volumeBindingMode", Check::one_of, "Immediate WaitForFirstConsumer"}};
  if (!draft.creating()) {
    for (std::string_view field : {"parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"}) require_unchanged(draft, field);
    return;
  }
  validate_provisioner(object, "provisioner", draft.errors);
  validate_parameters(object, draft.errors);
  check_fields(object, rules, "", draft.errors);
  validate_topologies(object, draft.errors);
}

void validate_attributes_class(Draft& draft) {
  const Node& object = draft.object;
  if (!draft.creating()) {
    for (std::string_view field : {"driverName", "parameters"}) {
      if (!same(draft.old->find(field), object.find(field)))
        draft.errors.forbidden(std::string(field), "updates to " + std::string(field) + " are forbidden.");
    }
  }
  validate_provisioner(object, "driverName", draft.errors);
  validate_parameters(object, draft.errors);
  if (!has_value(object, "parameters")) draft.errors.required("parameters", "must contain at least one key/value pair");
}

void validate_volume_attachment(Draft& draft) {
  FieldErrors& errors = draft.errors;
  constexpr FieldRule rules[] = {{"attacher", Check::required},
                                 {"attacher", Check::driver_name},
                                 {"nodeName", Check::required},
                                 {"nodeName", Check::dns_subdomain},
                                 {"source.persistentVolumeName", Check::dns_subdomain}};
  const Node& spec = draft.spec();
  check_fields(spec, rules, "spec", errors);
  const Node* source = spec.find("source");
  const bool inlined = source && has(*source, "inlineVolumeSpec"), named = source && has(*source, "persistentVolumeName");
  constexpr std::string_view one = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
  if (!inlined && !named) errors.required("spec.source", one);
  else if (inlined && named) errors.forbidden("spec.source", one);
  else if (named && !has_value(*source, "persistentVolumeName"))
    errors.required("spec.source.persistentVolumeName", "must specify non empty persistentVolumeName");
  else if (inlined && !has(*source->find("inlineVolumeSpec"), "csi"))
    errors.required("spec.source.inlineVolumeSpec.csi", "has to be specified in the context of inline volumes");
  if (!draft.creating()) require_unchanged(draft, "spec");
}

void validate_volume_attachment_status(Draft& draft) {
  const Node& status = draft.status();
  const Node* metadata = status.find("attachmentMetadata");
  if (present(metadata) && bytes_of(*metadata) > max_parameter_bytes)
    draft.errors.too_long("status.attachmentMetadata", max_parameter_bytes);
  validate_volume_error(status, "attachError", draft.errors);
  validate_volume_error(status, "detachError", draft.errors);
}

void validate_csi_driver(Draft& draft) {
  FieldErrors& errors = draft.errors;
  const Node& spec = draft.spec();
  constexpr FieldRule rules[] = {{"fsGroupPolicy", Check::one_of, "File None ReadWriteOnceWithFSType"}};
  check_fields(spec, rules, "spec", errors);
  each(spec, "volumeLifecycleModes", "spec", [&](const Node& mode, const std::string&) {
    check_value(&mode, Check::one_of, "Persistent Ephemeral", "spec.volumeLifecycleModes", errors);
  });
  const auto period = int_at(spec, "nodeAllocatableUpdatePeriodSeconds");
  if (period && *period < 10)
    errors.invalid("spec.nodeAllocatableUpdatePeriodSeconds", spec.find("nodeAllocatableUpdatePeriodSeconds"),
                   "must be greater than or equal to 10 seconds");
  std::set<std::string, std::less<>> audiences;
  each(spec, "tokenRequests", "spec", [&](const Node& request, const std::string& here) {
    const std::string_view audience = request.string_at("audience");
    if (!audiences.emplace(audience).second) return errors.duplicate(here + ".audience", audience);
    const auto seconds = int_at(request, "expirationSeconds");
    if (seconds && *seconds < 600)
      errors.invalid(here + ".expirationSeconds", request.find("expirationSeconds"), "may not specify a duration less than 10 minutes");
    if (seconds && *seconds > int64_t(1) << 32)
      errors.invalid(here + ".expirationSeconds", request.find("expirationSeconds"), "may not specify a duration larger than 2^32 seconds");
  });
  if (has(spec, "serviceAccountTokenInSecrets") && !has_value(spec, "tokenRequests"))
    errors.invalid("spec.serviceAccountTokenInSecrets", spec.find("serviceAccountTokenInSecrets"),
                   "serviceAccountTokenInSecrets is set but no tokenRequests are specified");
  if (draft.creating()) return;
  const Node* old = draft.old->find("spec");
  auto keep = [&](std::string_view field, std::string told) {
    if (!same(old ? old->find(field) : nullptr, spec.find(field))) errors.invalid(std::move(told), spec.find(field), "field is immutable");
  };
  keep("attachRequired", "spec.attachedRequired");
  keep("volumeLifecycleModes", "spec.volumeLifecycleModes");
}

void validate_csi_node(Draft& draft) {
  FieldErrors& errors = draft.errors;
  const Node& spec = draft.spec();
  constexpr FieldRule rules[] = {{"drivers[].name", Check::required},
                                 {"drivers[].name", Check::driver_name},
                                 {"drivers[].nodeID", Check::required},
                                 {"drivers[].allocatable.count", Check::not_negative}};
  check_fields(spec, rules, "spec", errors);
  const Node* old = draft.old ? draft.old->at("spec", "drivers") : nullptr;
  std::set<std::string, std::less<>> names;
  each(spec, "drivers", "spec", [&](const Node& driver, const std::string& here) {
    const std::string_view name = driver.string_at("name"), id = driver.string_at("nodeID");
    if (id.size() > 256) errors.invalid_string(here + ".nodeID", id, "must be 256 characters or less");
    if (!names.emplace(name).second) errors.duplicate(here + ".name", name);
    std::set<std::string, std::less<>> keys;
    each(driver, "topologyKeys", here, [&](const Node& key, const std::string&) {
      if (!keys.emplace(key.as_string()).second) errors.duplicate(here, key.as_string());
      require_qualified_name(key.as_string(), here, errors);
    });
    if (!present(old)) return;
    const auto before = std::find_if(old->begin(), old->end(), [&](const Node& d) { return d.string_at("name") == name; });
    if (before == old->end()) return;
    if (!same(before->find("nodeID"), driver.find("nodeID")) || !same(before->find("topologyKeys"), driver.find("topologyKeys")))
      errors.invalid("spec.drivers", &driver, "field is immutable");
  });
}

void validate_storage_capacity(Draft& draft) {
  constexpr FieldRule rules[] = {{"nodeTopology", Check::label_selector},
                                 {"storageClassName", Check::required},
                                 {"storageClassName", Check::dns_subdomain},
                                 {"capacity", Check::quantity}};
  check_fields(draft.object, rules, "", draft.errors);
  if (draft.creating()) return;
  require_unchanged(draft, "nodeTopology");
  require_unchanged(draft, "storageClassName");
}

}  // namespace estiba::apiserver::storage
