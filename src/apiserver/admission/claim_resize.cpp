// PersistentVolumeClaimResize: a claim grows only once it is bound, and only where its StorageClass lets it. (Kubernetes:
// plugin/pkg/admission/storage/persistentvolume/resize.)
#include "apiserver/admission/plugins.h"
#include "apiserver/cluster.h"
#include "apiserver/edit.h"
#include "model/quantity.h"

namespace estiba::apiserver::admission {
namespace {

std::optional<model::Quantity> size_of(const json::Node& claim) {
  const json::Node* size = claim.at("spec", "resources", "requests", "storage");
  if (!present(size)) return std::nullopt;
  auto parsed = model::Quantity::parse(size->is_string() ? size->as_string() : size->number_text());
  if (!parsed) return std::nullopt;
  return *parsed;
}

std::string_view class_of(const json::Node& claim) {
  const std::string_view annotated = claim.string_at("metadata", "annotations", "volume.beta.kubernetes.io/storage-class");
  return annotated.empty() ? claim.string_at("spec", "storageClassName") : annotated;
}

bool may_grow(const Attributes& attributes) {
  const std::string_view name = class_of(*attributes.object);
  if (name.empty() || name != class_of(*attributes.old)) return false;
  auto found = attributes.cluster.find("storage.k8s.io", "storageclasses", "", name);
  if (!found) return false;
  auto doc = json::Document::parse(found->object->json());
  const json::Node* allowed = doc ? doc->root().find("allowVolumeExpansion") : nullptr;
  return present(allowed) && allowed->as_bool();
}

}  // namespace

Result<void> check_claim_resize(Attributes& attributes) {
  if (!attributes.is("", "persistentvolumeclaims") || !attributes.updating()) return {};
  const auto before = size_of(*attributes.old), now = size_of(*attributes.object);
  if (!before || !now || !(*before < *now)) return {};
  if (attributes.old->string_at("status", "phase") != "Bound")
    return attributes.forbidden("Only bound persistent volume claims can be expanded");
  if (may_grow(attributes)) return {};
  return attributes.forbidden(
      "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize");
}

}  // namespace estiba::apiserver::admission
