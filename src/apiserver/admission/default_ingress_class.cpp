#include "apiserver/admission/plugins.h"
#include "apiserver/cluster.h"
#include "apiserver/edit.h"

namespace estiba::apiserver::admission {
namespace {

// Of several default classes the newest one counts, then the first by name.
bool goes_before(const model::Meta& a, const model::Meta& b) {
  if (a.creation_timestamp != b.creation_timestamp) return a.creation_timestamp > b.creation_timestamp;
  return a.name < b.name;
}

}  // namespace

Result<void> assign_ingress_class(Attributes& attributes) {
  if (!attributes.is("networking.k8s.io", "ingresses") || !attributes.creating()) return {};
  if (has(attributes.spec(), "ingressClassName")) return {};
  // The class as it was named before the field came.
  if (attributes.object->at("metadata", "annotations", "kubernetes.io/ingress.class")) return {};
  const model::ObjectRef* chosen = nullptr;
  const auto classes = TRY(attributes.cluster.all("networking.k8s.io", "ingressclasses"));
  for (const model::ObjectRef& each : classes) {
    if (each.meta().annotation("ingressclass.kubernetes.io/is-default-class") != "true") continue;
    if (!chosen || goes_before(each.meta(), chosen->meta())) chosen = &each;
  }
  if (chosen) attributes.doc->set(attributes.spec(), "ingressClassName", chosen->meta().name);
  return {};
}

}  // namespace estiba::apiserver::admission
