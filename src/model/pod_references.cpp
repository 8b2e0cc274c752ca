#include "model/pod_references.h"

#include <algorithm>

namespace estiba::model {

namespace {

bool has(const json::Node* object, std::string_view key) {
  const json::Node* value = object ? object->find(key) : nullptr;
  return value && !value->is_null();
}

// Calls `visit` for each element of a list, until it says true.
template <class F>
bool any_of(const json::Node* list, F visit) {
  return list && list->is_array() && std::any_of(list->begin(), list->end(), visit);
}

bool any_variable(const json::Node& spec, std::string_view key, std::string_view from) {
  return std::ranges::any_of(
      std::initializer_list<std::string_view>{"initContainers", "containers", "ephemeralContainers"}, [&](auto kind) {
        return any_of(spec.find(kind), [&](const json::Node& container) {
          return any_of(container.find("env"), [&](const json::Node& variable) { return has(variable.find("valueFrom"), key); }) ||
                 any_of(container.find("envFrom"), [&](const json::Node& source) { return has(&source, from); });
        });
      });
}

bool any_projected(const json::Node& volume, std::string_view source) {
  return any_of(volume.at("projected", "sources"), [&](const json::Node& each) { return has(&each, source); });
}

bool volume_reads_secret(const json::Node& volume) {
  if (has(&volume, "secret") || any_projected(volume, "secret") || has(volume.find("csi"), "nodePublishSecretRef")) return true;
  if (!volume.string_at("azureFile", "secretName").empty()) return true;
  return std::ranges::any_of(
      std::initializer_list<std::string_view>{"cephfs", "cinder", "flexVolume", "iscsi", "rbd", "scaleIO", "storageos"},
      [&](auto kind) { return has(volume.find(kind), "secretRef"); });
}

std::string_view reference_of(const json::Node& volume) {
  if (has(&volume, "csi")) return "csidrivers (via CSI volumes)";
  if (has(&volume, "glusterfs")) return "endpoints (via glusterFS volumes)";
  if (has(&volume, "persistentVolumeClaim")) return "persistentvolumeclaims";
  if (has(&volume, "ephemeral")) return "persistentvolumeclaims (via ephemeral volumes)";
  if (has(&volume, "azureFile")) return "secrets (via azureFile volumes)";
  if (any_projected(volume, "serviceAccountToken")) return "serviceaccounts (via projected volumes)";
  if (any_projected(volume, "clusterTrustBundle")) return "clustertrustbundles";
  if (any_projected(volume, "podCertificate")) return "podcertificates";
  return {};
}

}  // namespace

std::string api_reference(const json::Node& spec) {
  const json::Node* volumes = spec.find("volumes");
  if (!spec.string_at("serviceAccountName").empty()) return "serviceaccounts";
  const auto named = [](const json::Node& reference) { return !reference.string_at("name").empty(); };
  if (any_of(spec.find("imagePullSecrets"), named) || any_variable(spec, "secretKeyRef", "secretRef") ||
      any_of(volumes, volume_reads_secret))
    return "secrets";
  const auto reads_map = [](const json::Node& volume) { return has(&volume, "configMap") || any_projected(volume, "configMap"); };
  if (any_variable(spec, "configMapKeyRef", "configMapRef") || any_of(volumes, reads_map)) return "configmaps";
  if (const json::Node* claims = spec.find("resourceClaims"); claims && !claims->is_null() && !claims->empty()) return "resourceclaims";
  std::string_view found;
  any_of(volumes, [&](const json::Node& volume) {
    found = reference_of(volume);
    return !found.empty();
  });
  return std::string(found);
}

}  // namespace estiba::model
