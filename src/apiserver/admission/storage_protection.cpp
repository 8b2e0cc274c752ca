// StorageObjectInUseProtection: claims and volumes are made with the finalizers that keep them while they are in use; controllers
// take them away. (Kubernetes: plugin/pkg/admission/storage/storageobjectinuseprotection.)
#include "apiserver/admission/plugins.h"
#include "apiserver/edit.h"

namespace estiba::apiserver::admission {

Result<void> protect_storage_in_use(Attributes& attributes) {
  const bool claim = attributes.is("", "persistentvolumeclaims");
  if (!attributes.creating() || (!claim && !attributes.is("", "persistentvolumes"))) return {};
  const std::string_view finalizer = claim ? "kubernetes.io/pvc-protection" : "kubernetes.io/pv-protection";
  json::Document& doc = *attributes.doc;
  json::Node& all = ensure_array(doc, ensure(doc, *attributes.object, "metadata"), "finalizers");
  for (const json::Node& each : all)
    if (each.as_string() == finalizer) return {};
  doc.append(all, doc.make_string(finalizer));
  return {};
}

}  // namespace estiba::apiserver::admission
