#include "apiserver/admission/plugins.h"
#include "apiserver/cluster.h"
#include "apiserver/edit.h"
#include "base/strings.h"
#include "model/quota.h"

namespace estiba::apiserver::admission {
namespace {

constexpr std::string_view other_overhead = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead";

// The class the pod names, as a document; nullopt when it names none.
Result<std::optional<json::Document>> class_of(Attributes& attributes) {
  const std::string name(attributes.spec().string_at("runtimeClassName"));
  if (name.empty()) return std::nullopt;
  auto found = attributes.cluster.find("node.k8s.io", "runtimeclasses", "", name);
  if (!found) {
    if (found.error().code != Code::not_found) return std::unexpected(std::move(found.error()));
    return attributes.forbidden("pod rejected: RuntimeClass " + quoted(name) + " not found");
  }
  return TRY(json::Document::parse(found->object->json()));
}

const json::Node* overhead_of(const std::optional<json::Document>& runtime_class) {
  return runtime_class ? runtime_class->root().at("overhead", "podFixed") : nullptr;
}

bool same_resources(const json::Node* a, const json::Node* b) { return model::read_resources(a) == model::read_resources(b); }

Result<void> merge_node_selector(Attributes& attributes, const json::Node& wanted) {
  json::Node& selector = ensure(*attributes.doc, attributes.spec(), "nodeSelector");
  for (const json::Node& label : wanted) {
    const json::Node* own = selector.find(label.key());
    const std::string key(label.key());
    if (own && own->as_string() != label.as_string())
      return attributes.forbidden("conflict: runtimeClass.scheduling.nodeSelector[" + key + "] = " + std::string(label.as_string()) +
                                  "; pod.spec.nodeSelector[" + key + "] = " + std::string(own->as_string()));
    attributes.doc->set(selector, label.key(), label.as_string());
  }
  return {};
}

void merge_tolerations(Attributes& attributes, const json::Node& wanted) {
  json::Node& tolerations = ensure_array(*attributes.doc, attributes.spec(), "tolerations");
  for (const json::Node& toleration : wanted) {
    bool there = false;
    for (const json::Node& own : tolerations) there = there || json::equal(own, toleration);
    if (!there) attributes.doc->append(tolerations, attributes.doc->copy(toleration));
  }
}

}  // namespace

Result<void> apply_runtime_class(Attributes& attributes) {
  if (!attributes.is("", "pods") || !attributes.creating()) return {};
  const auto runtime_class = TRY(class_of(attributes));
  if (!runtime_class) return {};
  json::Node& spec = attributes.spec();
  if (const json::Node* overhead = overhead_of(runtime_class); present(overhead)) {
    if (has_value(spec, "overhead") && !same_resources(spec.find("overhead"), overhead)) return attributes.forbidden(other_overhead);
    set_copy(*attributes.doc, spec, "overhead", overhead);
  }
  const json::Node* scheduling = runtime_class->root().find("scheduling");
  if (!present(scheduling)) return {};
  if (const json::Node* wanted = scheduling->find("nodeSelector"); present(wanted)) TRY(merge_node_selector(attributes, *wanted));
  if (const json::Node* wanted = scheduling->find("tolerations"); present(wanted)) merge_tolerations(attributes, *wanted);
  return {};
}

Result<void> check_runtime_class(Attributes& attributes) {
  if (!attributes.is("", "pods") || !attributes.creating()) return {};
  const json::Node* own = attributes.spec().find("overhead");
  if (!present(own)) return {};
  const auto runtime_class = TRY(class_of(attributes));
  const json::Node* overhead = overhead_of(runtime_class);
  if (!present(overhead)) return attributes.forbidden("pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead");
  if (!same_resources(own, overhead)) return attributes.forbidden(other_overhead);
  return {};
}

}  // namespace estiba::apiserver::admission
