#include "cli/compose/shape.h"

#include "base/strings.h"
#include "model/cdi_name.h"

namespace estiba::cli::compose {
namespace {

using json::Document;
using json::Node;

std::string text_of(const Node& node) {
  if (node.is_number()) return std::string(node.number_text());
  if (node.is_bool()) return node.as_bool() ? "true" : "false";
  return std::string(node.as_string());
}

/// One service (or resource) on its way to the long form.
class Shaper {
 public:
  Shaper(Document& document, Node& node, const std::string& directory) : document_(document), node_(node), directory_(directory) {}

  Result<void> service() {
    TRY(words("command"));
    TRY(words("entrypoint"));
    for (const char* key : {"environment", "labels", "annotations", "sysctls"}) to_map(node_, key);
    for (const char* key : {"dns", "dns_search", "tmpfs", "label_file"}) to_list(node_, key);
    hosts(node_);
    names_to_map("networks", "");
    names_to_map("depends_on", "service_started");
    depends();
    healthcheck();
    build();
    env_files();
    logging();
    if (Node* deploy = node_.find("deploy"); deploy && deploy->is_object()) to_map(*deploy, "labels");
    TRY(ports());
    TRY(mounts());
    TRY(devices());
    for (const char* key : {"secrets", "configs"}) grants(node_, key);
    if (Node* build = node_.find("build"))
      if (build->is_object()) grants(*build, "secrets");
    return {};
  }

  void file_paths() {
    if (Node* file = node_.find("file"); file && file->is_string())
      document_.set(node_, "file", absolute_path(file->as_string(), directory_));
    to_map(node_, "labels");
  }

 private:
  std::unexpected<Error> stop(std::string_view key, Error error) { return std::unexpected(std::move(error).context(key)); }

  Result<void> words(std::string_view key) {
    Node* value = node_.find(key);
    if (!value || value->is_null() || value->is_array()) return {};
    auto parts = split_words(text_of(*value));
    if (!parts) return stop(key, parts.error());
    Node& list = document_.make_array();
    for (const auto& part : *parts) document_.append(list, document_.make_string(part));
    document_.set(node_, key, list);
    return {};
  }

  // KEY=VALUE lists become maps; a KEY alone has null. Values become texts.
  void to_map(Node& node, std::string_view key) {
    Node* value = node.find(key);
    if (!value || value->is_null()) return;
    Node& map = document_.make_object();
    for (const Node& item : *value) {
      if (value->is_object()) {
        document_.set(map, item.key(), item.is_null() ? document_.make_null() : document_.make_string(text_of(item)));
        continue;
      }
      const std::string text = text_of(item);
      auto [name, rest] = split_once(text, '=');
      document_.set(map, name, rest ? document_.make_string(*rest) : document_.make_null());
    }
    document_.set(node, key, map);
  }

  void to_list(Node& node, std::string_view key) {
    Node* value = node.find(key);
    if (!value || value->is_null() || value->is_array()) return;
    Node& list = document_.make_array();
    document_.append(list, document_.make_string(text_of(*value)));
    document_.set(node, key, list);
  }

  // {"host": "1.2.3.4"} or ["host:1.2.3.4"] → ["host=1.2.3.4"].
  void hosts(Node& node) {
    Node* value = node.find("extra_hosts");
    if (!value || value->is_null()) return;
    Node& list = document_.make_array();
    auto add = [&](std::string_view host, std::string_view address) {
      document_.append(list, document_.make_string(std::string(host) + "=" + std::string(address)));
    };
    for (const Node& item : *value) {
      if (value->is_object()) {
        if (item.is_array())
          for (const Node& address : item) add(item.key(), text_of(address));
        else add(item.key(), text_of(item));
        continue;
      }
      const std::string text = text_of(item);
      const size_t cut = text.find('=') != text.npos ? text.find('=') : text.find(':');
      if (cut != text.npos) add(std::string_view(text).substr(0, cut), std::string_view(text).substr(cut + 1));
    }
    document_.set(node, "extra_hosts", list);
  }

  void names_to_map(std::string_view key, std::string_view condition) {
    Node* value = node_.find(key);
    if (!value || !value->is_array()) return;
    Node& map = document_.make_object();
    for (const Node& item : *value) {
      Node& entry = condition.empty() ? document_.make_null() : document_.make_object();
      if (!condition.empty()) document_.set(entry, "condition", condition);
      document_.set(map, text_of(item), entry);
    }
    document_.set(node_, key, map);
  }

  void depends() {
    Node* value = node_.find("depends_on");
    if (!value || !value->is_object()) return;
    for (Node& entry : *value) {
      if (entry.is_null()) document_.assign(entry, document_.make_object());
      if (!entry.find("condition")) document_.set(entry, "condition", "service_started");
      if (!entry.find("required")) document_.set(entry, "required", document_.make_bool(true));
    }
  }

  void healthcheck() {
    Node* check = node_.find("healthcheck");
    if (!check || !check->is_object()) return;
    Node* test = check->find("test");
    if (!test || test->is_array() || test->is_null()) return;
    Node& list = document_.make_array();
    document_.append(list, document_.make_string("CMD-SHELL"));
    document_.append(list, document_.make_string(text_of(*test)));
    document_.set(*check, "test", list);
  }

  void build() {
    Node* build = node_.find("build");
    if (!build || build->is_null()) return;
    if (!build->is_object()) {
      Node& made = document_.make_object();
      document_.set(made, "context", text_of(*build));
      build = &document_.set(node_, "build", made);
    }
    std::string context = build->find("context") ? text_of(*build->find("context")) : ".";
    const bool remote = context.find("://") != context.npos || context.starts_with("git@") || context.starts_with("github.com/");
    document_.set(*build, "context", remote ? context : absolute_path(context, directory_));
    if (!build->find("dockerfile") && !build->find("dockerfile_inline")) document_.set(*build, "dockerfile", "Dockerfile");
    for (const char* key : {"args", "labels", "additional_contexts"}) to_map(*build, key);
    to_list(*build, "ssh");
    hosts(*build);
  }

  void env_files() {
    Node* value = node_.find("env_file");
    if (!value || value->is_null()) return;
    Node& list = document_.make_array();
    auto add = [&](const Node& item) {
      Node& entry = document_.make_object();
      const Node* path = item.is_object() ? item.find("path") : &item;
      document_.set(entry, "path", absolute_path(path ? text_of(*path) : "", directory_));
      const Node* required = item.is_object() ? item.find("required") : nullptr;
      document_.set(entry, "required", document_.make_bool(!required || text_of(*required) != "false"));
      if (const Node* format = item.is_object() ? item.find("format") : nullptr) document_.set(entry, "format", text_of(*format));
      document_.append(list, entry);
    };
    if (value->is_array())
      for (const Node& item : *value) add(item);
    else add(*value);
    document_.set(node_, "env_file", list);
  }

  void logging() {
    Node* logging = node_.find("logging");
    if (logging && logging->is_object()) to_map(*logging, "options");
  }

  Result<void> ports() {
    Node* value = node_.find("ports");
    if (!value || !value->is_array()) return {};
    Node& list = document_.make_array();
    for (const Node& item : *value) {
      if (item.is_object()) {
        Node& copy = document_.append(list, document_.copy(item));
        if (!copy.find("target")) return stop("ports", Error{Code::invalid, 0, "a port without target", nullptr});
        if (const Node* published = copy.find("published")) document_.set(copy, "published", text_of(*published));
        if (!copy.find("protocol")) document_.set(copy, "protocol", "tcp");
        if (!copy.find("mode")) document_.set(copy, "mode", "ingress");
        continue;
      }
      auto parsed = parse_port(document_, text_of(item));
      if (!parsed) return stop("ports", parsed.error());
      for (Node* port : *parsed) document_.append(list, *port);
    }
    document_.set(node_, "ports", list);
    return {};
  }

  Result<void> mounts() {
    Node* value = node_.find("volumes");
    if (!value || !value->is_array()) return {};
    Node& list = document_.make_array();
    for (const Node& item : *value) {
      if (!item.is_object()) {
        auto parsed = parse_mount(document_, text_of(item), directory_);
        if (!parsed) return stop("volumes", parsed.error());
        document_.append(list, **parsed);
        continue;
      }
      Node& copy = document_.append(list, document_.copy(item));
      const std::string type(copy.string_at("type"));
      if (type != "bind" && type != "volume" && type != "tmpfs")
        return stop("volumes", Error{Code::invalid, 0, "the type of a volume is bind, volume or tmpfs, not " + quoted(type), nullptr});
      if (copy.string_at("target").empty()) return stop("volumes", Error{Code::invalid, 0, "a volume without target", nullptr});
      if (type == "bind" && copy.string_at("source").empty())
        return stop("volumes",
                    Error{Code::invalid, 0, "the bind mount of " + std::string(copy.string_at("target")) + " has no source", nullptr});
      if (type == "bind") document_.set(copy, "source", absolute_path(copy.string_at("source"), directory_));
    }
    document_.set(node_, "volumes", list);
    return {};
  }

  Result<void> devices() {
    Node* value = node_.find("devices");
    if (!value || !value->is_array()) return {};
    Node& list = document_.make_array();
    for (const Node& item : *value) {
      if (item.is_object()) {
        document_.append(list, document_.copy(item));
        continue;
      }
      const std::string text = text_of(item);
      auto parts = split(text, ':');
      if (model::parse_cdi_name(text)) parts = {text};
      if (parts.size() > 3 || parts[0].empty())
        return stop("devices",
                    Error{Code::invalid, 0, "invalid device " + quoted(text) + ": SOURCE[:TARGET[:PERMISSIONS]] is expected", nullptr});
      Node& device = document_.append(list, document_.make_object());
      document_.set(device, "source", parts[0]);
      document_.set(device, "target", parts.size() > 1 ? parts[1] : parts[0]);
      document_.set(device, "permissions", parts.size() > 2 ? parts[2] : "rwm");
    }
    document_.set(node_, "devices", list);
    return {};
  }

  void grants(Node& node, std::string_view key) {
    Node* value = node.find(key);
    if (!value || !value->is_array()) return;
    Node& list = document_.make_array();
    for (const Node& item : *value) {
      if (item.is_object()) {
        document_.append(list, document_.copy(item));
        continue;
      }
      document_.set(document_.append(list, document_.make_object()), "source", text_of(item));
    }
    document_.set(node, key, list);
  }

  Document& document_;
  Node& node_;
  const std::string& directory_;
};

}  // namespace

Result<void> shape_service(Document& document, Node& service, const std::string& directory) {
  return Shaper(document, service, directory).service();
}

Result<void> shape_resources(Document& document, Node& root, const std::string& directory) {
  for (const char* key : {"networks", "volumes", "secrets", "configs"}) {
    Node* map = root.find(key);
    if (!map || !map->is_object()) continue;
    for (Node& item : *map)
      if (item.is_object()) Shaper(document, item, directory).file_paths();
  }
  return {};
}

}  // namespace estiba::cli::compose
