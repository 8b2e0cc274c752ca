#include <algorithm>

#include "apiserver/admission/plugins.h"
#include "apiserver/edit.h"

namespace estiba::apiserver::admission {
namespace {

constexpr int64_t seconds = 300;

bool tolerates(const json::Node& spec, std::string_view key) {
  const json::Node* tolerations = spec.find("tolerations");
  if (!present(tolerations)) return false;
  return std::any_of(tolerations->begin(), tolerations->end(), [key](const json::Node& t) {
    const std::string_view effect = t.string_at("effect"), k = t.string_at("key");
    return (k == key || k.empty()) && (effect == "NoExecute" || effect.empty());
  });
}

}  // namespace

Result<void> add_default_tolerations(Attributes& attributes) {
  // An update that replaces the list brings them back as well.
  if (!attributes.is("", "pods") || !(attributes.creating() || attributes.updating())) return {};
  json::Document& doc = *attributes.doc;
  for (std::string_view key : {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"}) {
    if (tolerates(attributes.spec(), key)) continue;
    json::Node& toleration = doc.make_object();
    doc.set(toleration, "key", key);
    doc.set(toleration, "operator", "Exists");
    doc.set(toleration, "effect", "NoExecute");
    set_int(doc, toleration, "tolerationSeconds", seconds);
    doc.append(ensure_array(doc, attributes.spec(), "tolerations"), toleration);
  }
  return {};
}

}  // namespace estiba::apiserver::admission
