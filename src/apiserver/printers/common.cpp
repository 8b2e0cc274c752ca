#include "apiserver/edit.h"
#include "apiserver/printers/printers.h"
#include "base/strings.h"

namespace estiba::apiserver::printers {

int64_t count_of(const json::Node& object, std::string_view path) {
  const json::Node* node = follow(object, path);
  return node ? node->as_int().value_or(0) : 0;
}

std::string map_text(const json::Node* map) {
  if (!present(map) || map->empty()) return "<none>";
  std::vector<std::string> parts;
  for (const json::Node& entry : *map) parts.push_back(std::string(entry.key()) + "=" + std::string(entry.as_string()));
  std::sort(parts.begin(), parts.end());
  return join(parts, ",");
}

std::string selector_text(const json::Node* selector) {
  if (!present(selector)) return "<none>";
  std::vector<std::string> parts;
  if (const json::Node* labels = selector->find("matchLabels"); present(labels)) {
    for (const json::Node& label : *labels) parts.push_back(std::string(label.key()) + "=" + std::string(label.as_string()));
  }
  if (const json::Node* expressions = selector->find("matchExpressions"); present(expressions)) {
    for (const json::Node& expression : *expressions) {
      std::string key(expression.string_at("key"));
      std::string_view op = expression.string_at("operator");
      std::vector<std::string> values;
      if (const json::Node* list = expression.find("values")) {
        for (const json::Node& value : *list) values.emplace_back(value.as_string());
      }
      std::sort(values.begin(), values.end());
      if (op == "Exists") parts.push_back(key);
      else if (op == "DoesNotExist") parts.push_back("!" + key);
      else parts.push_back(key + (op == "In" ? " in (" : " notin (") + join(values, ",") + ")");
    }
  }
  std::sort(parts.begin(), parts.end());
  return parts.empty() ? "<none>" : join(parts, ",");
}

std::string containers_text(const json::Node* pod_spec, std::string_view field) {
  std::vector<std::string> out;
  const json::Node* containers = pod_spec ? pod_spec->find("containers") : nullptr;
  if (containers) {
    for (const json::Node& container : *containers) out.emplace_back(container.string_at(field));
  }
  return join(out, ",");
}

std::string cut_list(const std::vector<std::string>& items, size_t limit) {
  if (items.empty()) return "<none>";
  if (items.size() <= limit) return join(items, ",");
  return join(std::vector<std::string>(items.begin(), items.begin() + static_cast<ptrdiff_t>(limit)), ",") + " + " +
         std::to_string(items.size() - limit) + " more...";
}

}  // namespace estiba::apiserver::printers
