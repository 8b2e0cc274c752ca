#include "image/registry_server/manifest_facts.h"

#include "base/strings.h"
#include "image/digest.h"
#include "image/manifest.h"
#include "model/json.h"

namespace estiba::image {
namespace {

Result<ManifestFacts::Blob> descriptor(const json::Node& node, const std::string& field) {
  ManifestFacts::Blob out;
  out.digest = node.string_at("digest");
  if (!valid_digest(out.digest))
    return fail(Code::malformed, field + ".digest: " + quoted(out.digest) + " is invalid: sha256: and 64 hexadecimal digits are expected");
  const json::Node* size = node.find("size");
  const auto number = size ? size->as_int() : std::nullopt;
  if (!number || *number < 0) return fail(Code::malformed, field + ".size: a number of bytes is expected");
  out.size = uint64_t(*number);
  const json::Node* urls = node.find("urls");
  out.elsewhere = urls && urls->size() > 0;
  return out;
}

Result<void> read_lists(const json::Node& root, bool index, ManifestFacts& out) {
  const json::Node* list = root.find(index ? "manifests" : "layers");
  const json::Node* config = root.find("config");
  if (!list && !config) return fail(Code::malformed, "the manifest has neither config and layers nor manifests");
  if (config && !index) {
    out.blobs.push_back(TRY(descriptor(*config, "config")));
    if (out.artifact_type.empty()) out.artifact_type = config->string_at("mediaType");
  }
  uint32_t i = 0;
  if (list)
    for (const auto& node : *list) {
      auto blob = TRY(descriptor(node, std::string(index ? "manifests[" : "layers[") + std::to_string(i++) + "]"));
      // Manifests of other platforms may be missing on purpose.
      if (!index) out.blobs.push_back(std::move(blob));
    }
  return {};
}

}  // namespace

Result<ManifestFacts> read_manifest_facts(std::string_view text, std::string_view content_type) {
  json::Document doc = TRY_AS("the manifest", json::Document::parse(text, {.max_depth = 64}));
  const json::Node& root = doc.root();
  if (!root.is_object()) return fail(Code::malformed, "the manifest is no object");
  const json::Node* version = root.find("schemaVersion");
  if (!version || version->as_int() != 2)
    return fail(Code::malformed, "the manifest's schemaVersion is not 2; manifests of version 1 are not taken");
  ManifestFacts out;
  out.media_type = root.string_at("mediaType");
  const bool index = root.find("manifests") && !root.find("layers");
  if (!out.media_type.empty() && !content_type.empty() && content_type.starts_with("application/vnd.") && out.media_type != content_type)
    return fail(Code::malformed, "the manifest's mediaType is " + out.media_type + ", but it was sent as " + std::string(content_type));
  if (out.media_type.empty() && content_type.starts_with("application/vnd.")) out.media_type = content_type;
  if (out.media_type.empty()) out.media_type = index ? media::oci_index : media::oci_manifest;
  out.artifact_type = root.string_at("artifactType");
  TRY(read_lists(root, index, out));
  if (const json::Node* subject = root.find("subject"); subject && !subject->is_null())
    out.subject = TRY(descriptor(*subject, "subject")).digest;
  if (const json::Node* annotations = root.find("annotations"); annotations && annotations->is_object())
    for (const auto& item : *annotations) out.annotations.emplace(item.key(), item.as_string());
  return out;
}

}  // namespace estiba::image
