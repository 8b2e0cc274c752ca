// The merge of files (Compose specification, "Merge").
#include "base/strings.h"
#include "cli/compose/shape.h"

namespace estiba::cli::compose {
namespace {

using json::Document;
using json::Node;

/// The part of a path below the service: "ports" of "services.web.ports".
std::string_view below_service(std::string_view path) {
  if (!path.starts_with("services.")) return {};
  path.remove_prefix(9);
  auto [name, rest] = split_once(path, '.');
  return rest.value_or("");
}

/// What tells whether two items of a list are the same thing; empty: the text itself.
std::vector<std::string_view> identity(std::string_view key) {
  if (key == "ports") return {"target", "published", "host_ip", "protocol"};
  if (key == "volumes" || key == "devices") return {"target"};
  if (key == "secrets" || key == "configs" || key == "build.secrets") return {"source", "target"};
  if (key == "env_file") return {"path"};
  return {};
}

bool replaced_whole(std::string_view key) { return key == "command" || key == "entrypoint" || key == "healthcheck.test"; }

bool same(const Node& a, const Node& b, const std::vector<std::string_view>& keys) {
  if (keys.empty() || !a.is_object() || !b.is_object()) return json::equal(a, b);
  for (std::string_view key : keys) {
    const Node *left = a.find(key), *right = b.find(key);
    if ((left == nullptr) != (right == nullptr)) return false;
    if (left && !json::equal(*left, *right)) return false;
  }
  return true;
}

void merge_lists(Document& document, Node& base, const Node& over, std::string_view key) {
  const auto keys = identity(key);
  for (const Node& item : over) {
    Node* found = nullptr;
    for (Node& old : base)
      if (same(old, item, keys)) found = &old;
    if (!found) document.append(base, document.copy(item));
    else document.assign(*found, item);
  }
}

}  // namespace

void merge_into(Document& document, Node& base, const Node& over, const std::string& path) {
  for (const Node& item : over) {
    const std::string inner = path.empty() ? std::string(item.key()) : path + "." + std::string(item.key());
    const std::string_view key = below_service(inner);
    Node* old = base.find(item.key());
    if (!old || old->type() != item.type() || replaced_whole(key)) {
      // Nothing said is nothing changed, where there is a map already.
      if (old && item.is_null() && !key.starts_with("environment.")) continue;
      document.set(base, item.key(), document.copy(item));
    } else if (item.is_object()) {
      merge_into(document, *old, item, inner);
    } else if (item.is_array()) {
      merge_lists(document, *old, item, key);
    } else {
      document.assign(*old, item);
    }
  }
}

}  // namespace estiba::cli::compose
