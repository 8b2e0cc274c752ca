#include "apiserver/admission/plugins.h"
#include "apiserver/cluster.h"
#include "apiserver/edit.h"

namespace estiba::apiserver::admission {
namespace {

bool is_default(const model::Meta& meta) {
  return meta.annotation("storageclass.kubernetes.io/is-default-class") == "true" ||
         meta.annotation("storageclass.beta.kubernetes.io/is-default-class") == "true";
}

// Of several default classes the newest one counts, then the first by name.
bool goes_before(const model::Meta& a, const model::Meta& b) {
  if (a.creation_timestamp != b.creation_timestamp) return a.creation_timestamp > b.creation_timestamp;
  return a.name < b.name;
}

}  // namespace

Result<void> assign_storage_class(Attributes& attributes) {
  if (!attributes.is("", "persistentvolumeclaims") || !attributes.creating()) return {};
  // An empty name is a choice: no class at all.
  if (has(attributes.spec(), "storageClassName")) return {};
  if (attributes.object->at("metadata", "annotations", "volume.beta.kubernetes.io/storage-class")) return {};
  const model::ObjectRef* chosen = nullptr;
  const auto classes = TRY(attributes.cluster.all("storage.k8s.io", "storageclasses"));
  for (const model::ObjectRef& each : classes)
    if (is_default(each.meta()) && (!chosen || goes_before(each.meta(), chosen->meta()))) chosen = &each;
  if (chosen) attributes.doc->set(attributes.spec(), "storageClassName", chosen->meta().name);
  return {};
}

}  // namespace estiba::apiserver::admission
