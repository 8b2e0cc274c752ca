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
  out.os_version = root.string_at("os.version");
  out.author = root.string_at("author");
  out.comment = root.string_at("comment");
  if (const json::Node* c = root.find("config")) read_settings(*c, out);
  if (const json::Node* history = root.find("history"); history && history->is_array()) {
    for (const auto& item : *history) {
      const json::Node* empty = item.find("empty_layer");
      out.history.push_back({std::string(item.string_at("created")), std::string(item.string_at("created_by")),
                             std::string(item.string_at("author")), std::string(item.string_at("comment")), empty && empty->as_bool()});
    }
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

namespace {

void read_health_check(const json::Node& node, Config& config) {
  HealthCheck check;
  check.test = strings(node.find("Test"));
  auto number = [&](std::string_view key) {
    const json::Node* n = node.find(key);
    return n ? n->as_int().value_or(0) : 0;
  };
  check.interval = number("Interval");
  check.timeout = number("Timeout");
  check.start_period = number("StartPeriod");
  check.start_interval = number("StartInterval");
  check.retries = int(number("Retries"));
  config.health_check = check == HealthCheck{} ? std::nullopt : std::optional(std::move(check));
}

void write_health_check(json::Document& doc, json::Node& into, const HealthCheck& check) {
  json::Node& node = doc.set(into, "Healthcheck", doc.make_object());
  auto number = [&](std::string_view key, int64_t value) {
    if (value) doc.set(node, key, doc.make_int(value));
  };
  if (!check.test.empty()) doc.set(node, "Test", write_strings(doc, check.test));
  number("Interval", check.interval);
  number("Timeout", check.timeout);
  number("StartPeriod", check.start_period);
  number("StartInterval", check.start_interval);
  number("Retries", check.retries);
}

}  // namespace

void read_settings(const json::Node& node, Config& config) {
  auto text = [&](std::string_view key, std::string& to) {
    if (const json::Node* n = node.find(key); n && n->is_string()) to = n->as_string();
  };
  auto list = [&](std::string_view key, std::vector<std::string>& to) {
    if (const json::Node* n = node.find(key); n && n->is_array()) to = strings(n);
  };
  auto set_of = [&](std::string_view key, std::vector<std::string>& to) {
    if (const json::Node* n = node.find(key); n && n->is_object()) to = keys(n);
  };
  text("Hostname", config.hostname);
  text("Domainname", config.domainname);
  text("User", config.user);
  text("WorkingDir", config.working_dir);
  text("StopSignal", config.stop_signal);
  list("Env", config.env);
  list("Entrypoint", config.entrypoint);
  list("Cmd", config.cmd);
  list("OnBuild", config.on_build);
  list("Shell", config.shell);
  set_of("ExposedPorts", config.exposed_ports);
  set_of("Volumes", config.volumes);
  if (const json::Node* labels = node.find("Labels"); labels && labels->is_object()) {
    config.labels.clear();
    for (const auto& item : *labels) config.labels.emplace(item.key(), item.as_string());
  }
  if (const json::Node* check = node.find("Healthcheck"); check && check->is_object()) read_health_check(*check, config);
  if (const json::Node* n = node.find("StopTimeout"); n && n->as_int()) config.stop_timeout = int(*n->as_int());
  if (const json::Node* n = node.find("ArgsEscaped")) config.args_escaped = n->as_bool();
}

json::Node& write_settings(json::Document& doc, const Config& config) {
  json::Node& c = doc.make_object();
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
  text("Hostname", config.hostname);
  text("Domainname", config.domainname);
  text("User", config.user);
  set_of("ExposedPorts", config.exposed_ports);
  list("Env", config.env);
  list("Entrypoint", config.entrypoint);
  list("Cmd", config.cmd);
  if (config.health_check) write_health_check(doc, c, *config.health_check);
  if (config.args_escaped) doc.set(c, "ArgsEscaped", doc.make_bool(true));
  set_of("Volumes", config.volumes);
  text("WorkingDir", config.working_dir);
  list("OnBuild", config.on_build);
  if (!config.labels.empty()) {
    json::Node& labels = doc.set(c, "Labels", doc.make_object());
    for (const auto& [key, value] : config.labels) doc.set(labels, key, value);
  }
  text("StopSignal", config.stop_signal);
  if (config.stop_timeout) doc.set(c, "StopTimeout", doc.make_int(*config.stop_timeout));
  list("Shell", config.shell);
  return c;
}

std::string print_config(const Config& config) {
  json::Document doc;
  json::Node& root = doc.make_object();
  doc.set_root(root);
  auto text = [&](json::Node& into, std::string_view key, const std::string& value) {
    if (!value.empty()) doc.set(into, key, value);
  };
  text(root, "created", config.created);
  text(root, "author", config.author);
  text(root, "comment", config.comment);
  doc.set(root, "architecture", config.platform.architecture);
  doc.set(root, "os", config.platform.os);
  text(root, "os.version", config.os_version);
  text(root, "variant", config.platform.variant);
  doc.set(root, "config", write_settings(doc, config));
  json::Node& rootfs = doc.set(root, "rootfs", doc.make_object());
  doc.set(rootfs, "type", "layers");
  doc.set(rootfs, "diff_ids", write_strings(doc, config.diff_ids));
  if (!config.history.empty()) {
    json::Node& history = doc.set(root, "history", doc.make_array());
    for (const auto& entry : config.history) {
      json::Node& node = doc.append(history, doc.make_object());
      text(node, "created", entry.created);
      text(node, "created_by", entry.created_by);
      text(node, "author", entry.author);
      text(node, "comment", entry.comment);
      if (entry.empty_layer) doc.set(node, "empty_layer", doc.make_bool(true));
    }
  }
  return json::print(root);
}

}  // namespace estiba::image
