// StorageObjectInUseProtection: claims, volumes and volume attributes classes are made with the finalizers that keep them while they are in
// use; controllers take them away. (Kubernetes: plugin/pkg/admission/storage/storageobjectinuseprotection.)
#include "apiserver/admission/plugins.h"
#include "apiserver/edit.h"

namespace estiba::apiserver::admission {

namespace {

std::string_view finalizer_of(const Attributes& attributes) {
  if (attributes.is("", "persistentvolumeclaims")) return "kubernetes.io/pvc-protection";
  if (attributes.is("", "persistentvolumes")) return "kubernetes.io/pv-protection";
  return attributes.is("storage.k8s.io", "volumeattributesclasses") ? "kubernetes.io/vac-protection" : "";
}

}  // namespace

Result<void> protect_storage_in_use(Attributes& attributes) {
  const std::string_view finalizer = attributes.creating() ? finalizer_of(attributes) : std::string_view();
  if (finalizer.empty()) return {};
  json::Document& doc = *attributes.doc;
  json::Node& all = ensure_array(doc, ensure(doc, *attributes.object, "metadata"), "finalizers");
  for (const json::Node& each : all)
    if (each.as_string() == finalizer) return {};
  doc.append(all, doc.make_string(finalizer));
  return {};
}

}  // namespace estiba::apiserver::admission
