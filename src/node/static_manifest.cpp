#include "node/static_manifest.h"

#include <algorithm>

#include "base/strings.h"
#include "base/time.h"
#include "image/digest.h"
#include "model/pod_references.h"
#include "model/types/core_v1.h"
#include "model/yaml.h"

namespace estiba::node {

namespace {

// It becomes a part of paths.
Result<void> check_uid(std::string_view uid) {
  const auto plain = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-'; };
  if (uid.size() <= 63 && std::ranges::all_of(uid, plain)) return {};
  return fail(Code::invalid, "metadata.uid: it must have at most 63 letters, digits and '-', not " + quoted(uid));
}

// Static pods stay when their node is in trouble.
void tolerate_all(json::Document& doc, json::Node& spec) {
  json::Node* list = spec.find("tolerations");
  if (!list || !list->is_array()) list = &doc.set(spec, "tolerations", doc.make_array());
  for (const json::Node& each : *list)
    if (each.string_at("key").empty() && each.string_at("operator") == "Exists" && each.string_at("effect") == "NoExecute") return;
  json::Node& toleration = doc.append(*list, doc.make_object());
  doc.set(toleration, "operator", "Exists");
  doc.set(toleration, "effect", "NoExecute");
}

Result<void> check_kind(const json::Node& root) {
  if (!root.is_object()) return fail(Code::invalid, "it must be a Pod, and is " + std::string(json::to_string(root.type())));
  if (root.string_at("kind").empty()) return fail(Code::invalid, "kind: it must be Pod, and is missing");
  if (root.string_at("kind") != "Pod" || root.string_at("apiVersion") != "v1")
    return fail(Code::invalid, "apiVersion and kind must be v1 and Pod, not " + std::string(root.string_at("apiVersion")) + " and " +
                                   std::string(root.string_at("kind")));
  if (root.string_at("metadata", "name").empty()) return fail(Code::invalid, "metadata.name: it is needed for the pod");
  return {};
}

}  // namespace

bool is_static(const model::Meta& meta) { return meta.annotation(source_annotation) == "file" && !is_mirror(meta); }

bool is_mirror(const model::Meta& meta) {
  return std::ranges::any_of(meta.annotations, [](const auto& entry) { return entry.first == mirror_annotation; });
}

Result<StaticManifest> read_manifest(std::string_view text, const std::string& file, const std::string& node_name,
                                     const Housekeeping& rules, WallTime now) {
  json::Document doc = TRY(model::parse_yaml(text));
  json::Node& root = doc.root();
  TRY(check_kind(root));
  StaticManifest out{.content = image::digest_of(json::print(root))};
  json::Node& metadata = doc.ensure_object(root, "metadata");
  std::string uid(metadata.string_at("uid"));
  if (uid.empty()) uid = image::hex_of(image::digest_of(out.content + "host:" + node_name + "file:" + file)).substr(0, 32);
  TRY(check_uid(uid));
  doc.set(metadata, "uid", uid);
  doc.set(metadata, "name", std::string(metadata.string_at("name")) + "-" + to_lower(node_name));
  if (metadata.string_at("namespace").empty()) doc.set(metadata, "namespace", "default");
  for (std::string_view field : {"resourceVersion", "generateName", "deletionTimestamp", "deletionGracePeriodSeconds", "managedFields",
                                 "ownerReferences", "finalizers"})
    doc.remove(metadata, field);
  json::Node& annotations = doc.ensure_object(metadata, "annotations");
  doc.remove(annotations, mirror_annotation);
  doc.set(annotations, hash_annotation, uid);
  doc.set(annotations, seen_annotation, format_rfc3339_micro(now));
  doc.set(annotations, source_annotation, "file");
  json::Node& spec = doc.ensure_object(root, "spec");
  doc.set(spec, "nodeName", node_name);
  tolerate_all(doc, spec);
  json::Node& status = doc.set(root, "status", doc.make_object());
  doc.set(status, "phase", "Pending");
  TRY(rules.complete_pod(doc));
  if (const std::string kind = model::api_reference(*doc.root().find("spec")); !kind.empty())
    return fail(Code::invalid, "static pods may not reference " + kind);
  out.pod = {TRY(model::Object::make(doc.root())), 0};
  return out;
}

std::string mirror_of(const model::ObjectRef& pod, const std::string& node_uid) {
  auto parsed = json::Document::parse(pod.object->json());
  if (!parsed) return {};
  json::Document& doc = *parsed;
  json::Node& metadata = doc.ensure_object(doc.root(), "metadata");
  doc.remove(metadata, "uid");
  doc.set(doc.ensure_object(metadata, "annotations"), mirror_annotation, pod.meta().annotation(hash_annotation));
  json::Node& owner = doc.append(doc.set(metadata, "ownerReferences", doc.make_array()), doc.make_object());
  doc.set(owner, "apiVersion", "v1");
  doc.set(owner, "kind", "Node");
  doc.set(owner, "name", pod.as<model::core_v1::Pod>().spec.nodeName);
  doc.set(owner, "uid", node_uid);
  doc.set(owner, "controller", doc.make_bool(true));
  return json::print(doc.root());
}

}  // namespace estiba::node
