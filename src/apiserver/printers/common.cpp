#include "apiserver/edit.h"
#include "apiserver/printers/printers.h"
#include "base/strings.h"
#include "model/selector.h"

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
  const auto parsed = model::LabelSelector::from(*selector);
  if (!parsed) return "<error>";
  std::string text = parsed->print();
  return text.empty() ? "<none>" : text;
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
