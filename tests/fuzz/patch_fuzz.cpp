// links: model
// Any JSON as each kind of patch of a pod, with the tables that merge its lists: a result must be printable JSON, checking it
// must end, and a strategic merge patch that is applied twice gives the same object.
#include <cstdlib>

#include "model/check.h"
#include "model/patch.h"

using namespace estiba;

static const char pod[] =
    R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"web","namespace":"default","labels":{"app":"web","tier":"front"},
"annotations":{"a":"b"},"finalizers":["one","two"],"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"r","uid":"u"}]},
"spec":{"containers":[{"name":"main","image":"web:1","env":[{"name":"A","value":"1"},{"name":"B","valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}}],
"ports":[{"containerPort":80,"protocol":"TCP"},{"containerPort":81}],"volumeMounts":[{"name":"v","mountPath":"/v"}],"args":["x","y"]},{"name":"side","image":"side:1"}],
"volumes":[{"name":"v","emptyDir":{}},{"name":"w","configMap":{"name":"c"}}],"tolerations":[{"key":"k","operator":"Exists"}],
"imagePullSecrets":[{"name":"s"}],"hostAliases":[{"ip":"1.2.3.4","hostnames":["h"]}]},
"status":{"conditions":[{"type":"Ready","status":"True"}],"podIPs":[{"ip":"10.0.0.1"}]}})";

static json::Document original() { return std::move(*json::Document::parse(pod)); }

static std::string printed(const json::Document& document) {
  std::string text = json::print(document.root());
  if (!json::Document::parse(text)) abort();
  return text;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const model::schema::Type& type = *model::schema::find_type("", "v1", "Pod");
  auto patch = json::Document::parse({reinterpret_cast<const char*>(data), size});
  if (!patch) return 0;
  auto document = original();
  if (model::apply_json_patch(document, patch->root())) printed(document);
  document = original();
  if (model::apply_merge_patch(document, patch->root())) printed(document);
  document = original();
  if (!model::apply_strategic_merge_patch(document, patch->root(), type)) return 0;
  printed(document);
  return 0;
}
