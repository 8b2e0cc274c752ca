#include <algorithm>

#include "apiserver/admission/plugins.h"
#include "apiserver/edit.h"

namespace estiba::apiserver::admission {

// The node lifecycle controller takes the taint away once the node is ready.
Result<void> taint_new_node(Attributes& attributes) {
  constexpr std::string_view key = "node.kubernetes.io/not-ready", effect = "NoSchedule";
  if (!attributes.is("", "nodes") || !attributes.creating()) return {};
  json::Document& doc = *attributes.doc;
  json::Node& taints = ensure_array(doc, attributes.spec(), "taints");
  const bool there = std::any_of(taints.begin(), taints.end(), [&](const json::Node& taint) {
    return taint.string_at("key") == key && taint.string_at("effect") == effect;
  });
  if (there) return {};
  json::Node& taint = doc.make_object();
  doc.set(taint, "key", key);
  doc.set(taint, "effect", effect);
  doc.append(taints, taint);
  return {};
}

}  // namespace estiba::apiserver::admission
