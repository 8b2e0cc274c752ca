// PersistentVolumes and claims (pkg/apis/core/validation/validation.go).
#include "apiserver/kinds/persistent_volume.h"

#include <algorithm>

#include "apiserver/edit.h"
#include "apiserver/kinds/field_rules.h"
#include "apiserver/kinds/pod_check.h"
#include "apiserver/kinds/pod_warnings.h"
#include "apiserver/kinds/rules.h"
#include "apiserver/kinds/storage.h"
#include "base/strings.h"
#include "model/quantity.h"

namespace estiba::apiserver {
namespace {

using json::Node;

void validate_access_modes(const Node& spec, const std::string& path, FieldErrors& errors) {
  const std::string field = path + ".accessModes";
  const Node* modes = spec.find("accessModes");
  if (!present(modes)) return;
  bool alone = false, others = false;
  for (const Node& mode : *modes) {
    (mode.as_string() == "ReadWriteOncePod" ? alone : others) = true;
  }
  if (alone && others) errors.forbidden(field, "may not use ReadWriteOncePod with other access modes");
}

model::Quantity quantity_of(const Node* node) {
  if (!present(node)) return {};
  return model::Quantity::parse(node->as_string(node->number_text())).value_or(model::Quantity{});
}

void require_positive(const Node& quantity, const std::string& field, FieldErrors& errors) {
  const model::Quantity value = quantity_of(&quantity);
  if (value.is_negative() || value.is_zero())
    errors.invalid_string(field, quantity.as_string(quantity.number_text()), "must be greater than zero");
}

void validate_data_source(const Node& spec, std::string_view member, const std::string& path, FieldErrors& errors) {
  const Node* source = spec.find(member);
  if (!present(source)) return;
  const std::string here = path + "." + std::string(member);
  constexpr FieldRule rules[] = {
      {"name", Check::required}, {"kind", Check::required}, {"apiGroup", Check::dns_subdomain}, {"namespace", Check::dns_label}};
  check_fields(*source, rules, here, errors);
  const std::string_view kind = source->string_at("kind");
  if (!has_value(*source, "apiGroup") && kind != "PersistentVolumeClaim")
    errors.invalid_string(here, kind, "must be 'PersistentVolumeClaim' when referencing the default apiGroup");
}

}  // namespace

void validate_claim_spec(const Node& spec, const std::string& path, FieldErrors& errors) {
  constexpr FieldRule rules[] = {{"accessModes", Check::required, "at least 1 access mode is required"},
                                 {"selector", Check::label_selector},
                                 {"storageClassName", Check::dns_subdomain},
                                 {"volumeMode", Check::one_of, "Block Filesystem"},
                                 {"volumeAttributesClassName", Check::dns_subdomain}};
  check_fields(spec, rules, path, errors);
  validate_access_modes(spec, path, errors);
  const std::string field = path + ".resources[storage]";
  const Node* size = spec.at("resources", "requests", "storage");
  if (!present(size)) errors.required(field);
  else require_positive(*size, field, errors);
  validate_data_source(spec, "dataSource", path, errors);
  validate_data_source(spec, "dataSourceRef", path, errors);
  const Node *source = spec.find("dataSource"), *ref = spec.find("dataSourceRef");
  if (!present(source) || !present(ref)) return;
  if (has_value(*ref, "namespace"))
    return errors.invalid_string(path, path + ".dataSource", "may not be specified when dataSourceRef.namespace is specified");
  const bool match = std::ranges::all_of(std::initializer_list<std::string_view>{"apiGroup", "kind", "name"},
                                         [&](std::string_view part) { return source->string_at(part) == ref->string_at(part); });
  if (!match) errors.invalid_string(path, path + ".dataSource", "must match dataSourceRef");
}

namespace storage {
namespace {

constexpr std::string_view volume_sources[] = {"hostPath",
                                               "gcePersistentDisk",
                                               "awsElasticBlockStore",
                                               "glusterfs",
                                               "flocker",
                                               "nfs",
                                               "rbd",
                                               "quobyte",
                                               "cephfs",
                                               "iscsi",
                                               "cinder",
                                               "fc",
                                               "flexVolume",
                                               "azureFile",
                                               "vsphereVolume",
                                               "photonPersistentDisk",
                                               "portworxVolume",
                                               "azureDisk",
                                               "scaleIO",
                                               "local",
                                               "storageos",
                                               "csi"};

constexpr FieldRule volume_rules[] = {
    {"accessModes", Check::required},
    {"capacity", Check::required},
    {"persistentVolumeReclaimPolicy", Check::one_of, "Delete Recycle Retain"},
    {"storageClassName", Check::dns_subdomain},
    {"volumeMode", Check::one_of, "Block Filesystem"},
    {"volumeAttributesClassName", Check::dns_subdomain},
    {"hostPath.path", Check::required},
    {"hostPath.path", Check::no_backsteps},
    {"hostPath.type", Check::one_of, "BlockDevice CharDevice Directory DirectoryOrCreate File FileOrCreate Socket"},
    {"local.path", Check::required},
    {"local.path", Check::no_backsteps},
    {"nfs.server", Check::required},
    {"nfs.path", Check::required},
    {"nfs.path", Check::absolute_path},
    {"iscsi.targetPortal", Check::required},
    {"iscsi.iqn", Check::required},
    {"iscsi.lun", Check::range, "0 255"},
    {"csi.driver", Check::required},
    {"csi.driver", Check::driver_name},
    {"csi.volumeHandle", Check::required},
    {"csi.controllerPublishSecretRef.name", Check::required},
    {"csi.controllerPublishSecretRef.namespace", Check::required},
    {"csi.controllerExpandSecretRef.name", Check::required},
    {"csi.controllerExpandSecretRef.namespace", Check::required},
    {"csi.nodeStageSecretRef.name", Check::required},
    {"csi.nodeStageSecretRef.namespace", Check::required},
    {"csi.nodePublishSecretRef.name", Check::required},
    {"csi.nodePublishSecretRef.namespace", Check::required},
    {"csi.nodeExpandSecretRef.name", Check::required},
    {"csi.nodeExpandSecretRef.namespace", Check::required},
    {"gcePersistentDisk.pdName", Check::required},
    {"awsElasticBlockStore.volumeID", Check::required},
    {"azureDisk.diskName", Check::required},
    {"azureDisk.diskURI", Check::required},
    {"azureFile.secretName", Check::required},
    {"azureFile.shareName", Check::required},
    {"vsphereVolume.volumePath", Check::required},
    {"portworxVolume.volumeID", Check::required},
    {"glusterfs.endpoints", Check::required},
    {"glusterfs.path", Check::required},
    {"rbd.monitors", Check::required},
    {"rbd.image", Check::required},
    {"cephfs.monitors", Check::required},
    {"cinder.volumeID", Check::required},
    {"flexVolume.driver", Check::required},
    {"quobyte.registry", Check::required},
    {"quobyte.volume", Check::required},
};

void validate_capacity(const Node& spec, FieldErrors& errors) {
  const Node* capacity = spec.find("capacity");
  if (!present(capacity) || capacity->empty()) return;
  if (!capacity->find("storage") || capacity->size() > 1)
    errors.add(
        {"FieldValueNotSupported", "Unsupported value: " + json::print(*capacity) + ": supported values: \"storage\"", "spec.capacity"});
  for (const Node& quantity : *capacity) require_positive(quantity, at("spec.capacity", quantity.key()), errors);
}

// A source stays as it is, but for a secret that is added for expansion.
void validate_source_unchanged(Draft& draft) {
  for (std::string_view kind : volume_sources) {
    const Node *now = draft.spec().find(kind), *before = draft.old->at("spec", kind);
    if (same(now, before)) continue;
    if (kind == "csi" && present(now) && present(before) && !has(*before, "controllerExpandSecretRef")) {
      json::Document scratch;
      Node& without = scratch.copy(*now);
      scratch.remove(without, "controllerExpandSecretRef");
      if (json::equal(without, *before)) continue;
    }
    return draft.errors.forbidden("spec.persistentvolumesource", "spec.persistentvolumesource is immutable after creation");
  }
}

}  // namespace

void validate_volume(Draft& draft) {
  const Node& spec = draft.spec();
  FieldErrors& errors = draft.errors;
  check_fields(spec, volume_rules, "spec", errors);
  validate_access_modes(spec, "spec", errors);
  validate_capacity(spec, errors);
  check_union(spec, volume_sources, "spec", "may not specify more than 1 volume type", "must specify a volume type", errors);
  if (const Node* affinity = spec.find("nodeAffinity"); present(affinity)) {
    const Node* terms = affinity->find("required");
    if (!present(terms)) errors.required("spec.nodeAffinity.required", "must specify required node constraints");
    else validate_node_selector(*terms, "spec.nodeAffinity.required", errors);
  } else if (has(spec, "local")) {
    errors.required("spec.nodeAffinity", "Local volume requires node affinity");
  }
  const bool recycle = spec.string_at("persistentVolumeReclaimPolicy") == "Recycle";
  if (recycle && spec.string_at("hostPath", "path") == "/")
    errors.forbidden("spec.persistentVolumeReclaimPolicy", "may not be 'recycle' for a hostPath mount of '/'");
  if (recycle)
    warn(draft.warnings,
         "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended approach "
         "is to use dynamic provisioning.");
  if (has(spec, "volumeAttributesClassName") && !has_value(spec, "volumeAttributesClassName"))
    errors.required("spec.volumeAttributesClassName", "an empty string is disallowed");
  if (has(spec, "volumeAttributesClassName") && !has(spec, "csi"))
    errors.required("spec.csi", "has to be specified when using volumeAttributesClassName");
  if (draft.creating()) return;
  validate_source_unchanged(draft);
  if (!same(draft.old->at("spec", "volumeMode"), spec.find("volumeMode")))
    errors.invalid("volumeMode", spec.find("volumeMode"), "field is immutable");
  const Node* affinity = draft.old->at("spec", "nodeAffinity");
  if (present(affinity) && !same(affinity, spec.find("nodeAffinity")))
    errors.invalid("nodeAffinity", spec.find("nodeAffinity"), "field is immutable");
  if (present(draft.old->at("spec", "volumeAttributesClassName")) && !has(spec, "volumeAttributesClassName"))
    errors.forbidden("spec.volumeAttributesClassName", "update from non-nil value to nil is forbidden");
}

namespace {

// The old spec with what an update may change taken from the new one.
void take_mutable_fields(json::Document& doc, Node& to, const Node& from, bool bound) {
  if (!has_value(to, "volumeName")) set_copy(doc, to, "volumeName", from.find("volumeName"));
  if (!has(to, "storageClassName")) set_copy(doc, to, "storageClassName", from.find("storageClassName"));
  if (!bound) return;
  set_copy(doc, to, "volumeAttributesClassName", from.find("volumeAttributesClassName"));
  if (const Node* size = from.at("resources", "requests", "storage"); present(size))
    set_copy(doc, ensure(doc, ensure(doc, to, "resources"), "requests"), "storage", size);
}

void validate_claim_update(Draft& draft) {
  const Node& spec = draft.spec();
  const Node* old = draft.old->find("spec");
  if (!old) return;
  FieldErrors& errors = draft.errors;
  json::Document scratch;
  Node& allowed = scratch.copy(*old);
  take_mutable_fields(scratch, allowed, spec, draft.old->string_at("status", "phase") == "Bound");
  if (!json::equal(allowed, spec))
    errors.forbidden("spec", "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims");
  const auto size = quantity_of(spec.at("resources", "requests", "storage"));
  if (size < quantity_of(old->at("resources", "requests", "storage")) &&
      size <= quantity_of(draft.old->at("status", "capacity", "storage")))
    errors.forbidden("spec.resources.requests.storage", "field can not be less than status.capacity");
  if (!same(old->find("volumeMode"), spec.find("volumeMode"))) errors.invalid("volumeMode", spec.find("volumeMode"), "field is immutable");
  const Node* current = draft.old->at("status", "currentVolumeAttributesClassName");
  if (!present(current) || has_value(spec, "volumeAttributesClassName") || !has(*old, "volumeAttributesClassName")) return;
  errors.forbidden("spec.volumeAttributesClassName", std::string("update to ") +
                                                         (has(spec, "volumeAttributesClassName") ? "empty string" : "nil") +
                                                         " is forbidden when status.currentVolumeAttributesClassName is not nil");
}

}  // namespace

void validate_volume_claim(Draft& draft) {
  validate_claim_spec(draft.spec(), "spec", draft.errors);
  if (!draft.creating()) validate_claim_update(draft);
  const Node* size = draft.spec().at("resources", "requests", "storage");
  if (present(size) && quantity_of(size).to_milli() % 1000 != 0)
    warn(draft.warnings, "spec.resources.requests[storage]: fractional byte value " + quoted(quantity_of(size).print()) +
                             " is invalid, must be an integer");
}

void validate_volume_claim_status(Draft& draft) {
  constexpr FieldRule rules[] = {
      {"capacity{}", Check::quantity},
      {"allocatedResources{}", Check::quantity},
      {"allocatedResourceStatuses{}", Check::one_of,
       "ControllerResizeInProgress ControllerResizeInfeasible NodeResizePending NodeResizeInProgress NodeResizeInfeasible"}};
  check_fields(draft.status(), rules, "status", draft.errors);
}

}  // namespace storage
}  // namespace estiba::apiserver
