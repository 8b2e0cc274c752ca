#include "image/manifest.h"

#include <sys/utsname.h>

#include <string>

#include "base/strings.h"
#include "image/digest.h"
#include "model/json.h"

namespace estiba::image {
namespace {

Result<Descriptor> read_descriptor(const json::Node& node, std::string_view where) {
  Descriptor out;
  out.media_type = node.string_at("mediaType");
  out.digest = node.string_at("digest");
  if (!valid_digest(out.digest))
    return fail(Code::malformed, std::string(where) + ": digest " + quoted(out.digest) + " is not a sha256 digest");
  const json::Node* size = node.find("size");
  auto number = size ? size->as_int() : std::nullopt;
  if (!number || *number < 0) return fail(Code::malformed, std::string(where) + ": size is missing or not a number");
  out.size = uint64_t(*number);
  if (const json::Node* p = node.find("platform"); p && p->is_object())
    out.platform =
        Platform{std::string(p->string_at("os")), std::string(p->string_at("architecture")), std::string(p->string_at("variant"))};
  if (const json::Node* a = node.find("annotations"); a && a->is_object())
    for (const auto& item : *a) out.annotations.emplace(item.key(), item.as_string());
  return out;
}

Result<json::Document> read_object(std::string_view text, std::string_view what) {
  json::Document doc = TRY_AS(what, json::Document::parse(text, {.allow_duplicate_keys = true}));
  if (!doc.root().is_object()) return fail(Code::malformed, std::string(what) + ": a JSON object is expected");
  return doc;
}

std::vector<std::string> strings(const json::Node* node) {
  std::vector<std::string> out;
  if (node && node->is_array())
    for (const auto& item : *node) out.emplace_back(item.as_string());
  return out;
}

std::vector<std::string> keys(const json::Node* node) {
  std::vector<std::string> out;
  if (node && node->is_object())
    for (const auto& item : *node) out.emplace_back(item.key());
  return out;
}

json::Node& write_descriptor(json::Document& doc, const Descriptor& d) {
  json::Node& out = doc.make_object();
  doc.set(out, "mediaType", d.media_type);
  doc.set(out, "digest", d.digest);
  doc.set(out, "size", doc.make_int(int64_t(d.size)));
  if (d.platform) {
    json::Node& p = doc.set(out, "platform", doc.make_object());
    doc.set(p, "architecture", d.platform->architecture);
    doc.set(p, "os", d.platform->os);
    if (!d.platform->variant.empty()) doc.set(p, "variant", d.platform->variant);
  }
  if (!d.annotations.empty()) {
    json::Node& a = doc.set(out, "annotations", doc.make_object());
    for (const auto& [key, value] : d.annotations) doc.set(a, key, value);
  }
  return out;
}

json::Node& write_strings(json::Document& doc, const std::vector<std::string>& list) {
  json::Node& out = doc.make_array();
  for (const auto& text : list) doc.append(out, doc.make_string(text));
  return out;
}

}  // namespace

Platform host_platform() {
  utsname name{};
  ::uname(&name);
  std::string_view machine = name.machine;
  if (machine == "x86_64") return {"linux", "amd64", ""};
  if (machine == "aarch64") return {"linux", "arm64", "v8"};
  return {"linux", std::string(machine), ""};
}

const Descriptor* Index::choose(const Platform& platform) const {
  const Descriptor* fallback = nullptr;
  for (const auto& d : manifests) {
    if (!d.platform || (d.platform->os.empty() && d.platform->architecture.empty())) {
      if (!fallback) fallback = &d;
    } else if (d.platform->os == platform.os && d.platform->architecture == platform.architecture) {
      return &d;
    }
  }
  return fallback;
}

uint64_t Manifest::layers_size() const {
  uint64_t total = 0;
  for (const auto& layer : layers) total += layer.size;
  return total;
}

bool is_index(std::string_view text) {
  auto doc = json::Document::parse(text, {.allow_duplicate_keys = true});
  return doc && doc->root().find("manifests") != nullptr;
}

Result<Index> parse_index(std::string_view text) {
  json::Document doc = TRY(read_object(text, "image index"));
  const json::Node* list = doc.root().find("manifests");
  if (!list || !list->is_array()) return fail(Code::malformed, "image index: manifests is missing");
  Index out;
  for (const auto& item : *list) out.manifests.push_back(TRY(read_descriptor(item, "image index: manifests")));
  return out;
}

Result<Manifest> parse_manifest(std::string_view text) {
  json::Document doc = TRY(read_object(text, "image manifest"));
  const json::Node& root = doc.root();
  if (auto version = root.find("schemaVersion"); version && version->as_int() == 1)
    return fail(Code::unsupported, "image manifest: schema 1 is no longer supported; push the image again with a current tool");
  Manifest out;
  if (auto type = root.string_at("mediaType"); !type.empty()) out.media_type = type;
  const json::Node* config = root.find("config");
  const json::Node* layers = root.find("layers");
  if (!config || !layers || !layers->is_array()) return fail(Code::malformed, "image manifest: config or layers is missing");
  out.config = TRY(read_descriptor(*config, "image manifest: config"));
  for (const auto& layer : *layers) out.layers.push_back(TRY(read_descriptor(layer, "image manifest: layers")));
  return out;
}

Result<Config> parse_config(std::string_view text) {
  json::Document doc = TRY(read_object(text, "image configuration"));
  const json::Node& root = doc.root();
  Config out;
  out.platform = {std::string(root.string_at("os")), std::string(root.string_at("architecture")), std::string(root.string_at("variant"))};
  out.created = root.string_at("created");
  if (const json::Node* c = root.find("config")) {
    out.user = c->string_at("User");
    out.working_dir = c->string_at("WorkingDir");
    out.stop_signal = c->string_at("StopSignal");
    out.env = strings(c->find("Env"));
    out.entrypoint = strings(c->find("Entrypoint"));
    out.cmd = strings(c->find("Cmd"));
    out.exposed_ports = keys(c->find("ExposedPorts"));
    out.volumes = keys(c->find("Volumes"));
    if (const json::Node* labels = c->find("Labels"); labels && labels->is_object())
      for (const auto& item : *labels) out.labels.emplace(item.key(), item.as_string());
  }
  out.diff_ids = strings(root.at("rootfs", "diff_ids"));
  for (const auto& id : out.diff_ids)
    if (!valid_digest(id)) return fail(Code::malformed, "image configuration: rootfs.diff_ids: " + quoted(id) + " is not a sha256 digest");
  return out;
}

std::string print_index(const Index& index) {
  json::Document doc;
  json::Node& root = doc.make_object();
  doc.set_root(root);
  doc.set(root, "schemaVersion", doc.make_int(2));
  doc.set(root, "mediaType", media::oci_index);
  json::Node& list = doc.set(root, "manifests", doc.make_array());
  for (const auto& d : index.manifests) doc.append(list, write_descriptor(doc, d));
  return json::print(root);
}

std::string print_manifest(const Manifest& manifest) {
  json::Document doc;
  json::Node& root = doc.make_object();
  doc.set_root(root);
  doc.set(root, "schemaVersion", doc.make_int(2));
  doc.set(root, "mediaType", manifest.media_type);
  doc.set(root, "config", write_descriptor(doc, manifest.config));
  json::Node& list = doc.set(root, "layers", doc.make_array());
  for (const auto& d : manifest.layers) doc.append(list, write_descriptor(doc, d));
  return json::print(root);
}

std::string print_config(const Config& config) {
  json::Document doc;
  json::Node& root = doc.make_object();
  doc.set_root(root);
  if (!config.created.empty()) doc.set(root, "created", config.created);
  doc.set(root, "architecture", config.platform.architecture);
  doc.set(root, "os", config.platform.os);
  if (!config.platform.variant.empty()) doc.set(root, "variant", config.platform.variant);
  json::Node& c = doc.set(root, "config", doc.make_object());
  auto text = [&](std::string_view key, const std::string& value) {
    if (!value.empty()) doc.set(c, key, value);
  };
  auto list = [&](std::string_view key, const std::vector<std::string>& value) {
    if (!value.empty()) doc.set(c, key, write_strings(doc, value));
  };
  auto set_of = [&](std::string_view key, const std::vector<std::string>& value) {
    if (value.empty()) return;
    json::Node& node = doc.set(c, key, doc.make_object());
    for (const auto& item : value) doc.set(node, item, doc.make_object());
  };
  text("User", config.user);
  set_of("ExposedPorts", config.exposed_ports);
  list("Env", config.env);
  list("Entrypoint", config.entrypoint);
  list("Cmd", config.cmd);
  set_of("Volumes", config.volumes);
  text("WorkingDir", config.working_dir);
  text("StopSignal", config.stop_signal);
  if (!config.labels.empty()) {
    json::Node& labels = doc.set(c, "Labels", doc.make_object());
    for (const auto& [key, value] : config.labels) doc.set(labels, key, value);
  }
  json::Node& rootfs = doc.set(root, "rootfs", doc.make_object());
  doc.set(rootfs, "type", "layers");
  doc.set(rootfs, "diff_ids", write_strings(doc, config.diff_ids));
  return json::print(root);
}

}  // namespace estiba::image
