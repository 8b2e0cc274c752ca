#include "apiserver/edit.h"
#include "apiserver/printers/printers.h"
#include "base/strings.h"

namespace estiba::apiserver::printers {
namespace {

std::string access_modes(const json::Node* modes) {
  std::vector<std::string> out;
  if (present(modes)) {
    for (const json::Node& mode : *modes) {
      std::string_view m = mode.as_string();
      out.emplace_back(m == "ReadWriteOnce"      ? "RWO"
                       : m == "ReadOnlyMany"     ? "ROX"
                       : m == "ReadWriteMany"    ? "RWX"
                       : m == "ReadWriteOncePod" ? "RWOP"
                                                 : m);
    }
  }
  return join(out, ",");
}

constexpr TableColumn volume_columns[] = {
    {"Name", "string", 0, "name"}, {"Capacity"}, {"Access Modes"}, {"Reclaim Policy"},          {"Status"}, {"Claim"}, {"StorageClass"},
    {"VolumeAttributesClass"},     {"Reason"},   {"Age"},          {"VolumeMode", "string", 1},
};
void volume_row(const json::Node& object, Cells& cells) {
  cells.text(object.string_at("metadata", "name"));
  cells.field(object, "spec.capacity.storage");
  cells.text(access_modes(object.at("spec", "accessModes")));
  cells.field(object, "spec.persistentVolumeReclaimPolicy");
  bool deleting = !object.string_at("metadata", "deletionTimestamp").empty();
  cells.text(deleting ? std::string_view("Terminating") : object.string_at("status", "phase"));
  const json::Node* claim = object.at("spec", "claimRef");
  cells.text(present(claim) ? std::string(claim->string_at("namespace")) + "/" + std::string(claim->string_at("name")) : std::string{});
  cells.field(object, "spec.storageClassName");
  cells.field(object, "spec.volumeAttributesClassName", "<unset>");
  cells.field(object, "status.reason");
  cells.age(object.string_at("metadata", "creationTimestamp"));
  cells.field(object, "spec.volumeMode", "<unset>");
}

constexpr TableColumn claim_columns[] = {
    {"Name", "string", 0, "name"},
    {"Status"},
    {"Volume"},
    {"Capacity"},
    {"Access Modes"},
    {"StorageClass"},
    {"VolumeAttributesClass"},
    {"Age"},
    {"VolumeMode", "string", 1},
};
void claim_row(const json::Node& object, Cells& cells) {
  bool bound = !object.string_at("spec", "volumeName").empty();
  bool deleting = !object.string_at("metadata", "deletionTimestamp").empty();
  cells.text(object.string_at("metadata", "name"));
  cells.text(deleting ? std::string_view("Terminating") : object.string_at("status", "phase"));
  cells.field(object, "spec.volumeName");
  cells.text(bound ? object.string_at("status", "capacity", "storage") : std::string_view{});
  cells.text(bound ? access_modes(object.at("status", "accessModes")) : std::string{});
  cells.field(object, "spec.storageClassName");
  cells.field(object, "spec.volumeAttributesClassName", "<unset>");
  cells.age(object.string_at("metadata", "creationTimestamp"));
  cells.field(object, "spec.volumeMode", "<unset>");
}

constexpr TableColumn class_columns[] = {
    {"Name", "string", 0, "name"}, {"Provisioner"}, {"ReclaimPolicy"}, {"VolumeBindingMode"}, {"AllowVolumeExpansion"}, {"Age"},
};
void class_row(const json::Node& object, Cells& cells) {
  std::string name(object.string_at("metadata", "name"));
  if (object.string_at("metadata", "annotations", "storageclass.kubernetes.io/is-default-class") == "true") name += " (default)";
  cells.text(name);
  cells.field(object, "provisioner");
  cells.field(object, "reclaimPolicy", "Delete");
  cells.field(object, "volumeBindingMode", "Immediate");
  cells.field(object, "allowVolumeExpansion", "false");
  cells.age(object.string_at("metadata", "creationTimestamp"));
}

constexpr Printer rows[] = {
    {"", "persistentvolumes", volume_columns, volume_row},
    {"", "persistentvolumeclaims", claim_columns, claim_row},
    {"storage.k8s.io", "storageclasses", class_columns, class_row},
};

}  // namespace

std::span<const Printer> storage() { return rows; }

}  // namespace estiba::apiserver::printers
