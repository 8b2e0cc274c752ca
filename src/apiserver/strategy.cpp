#include "apiserver/strategy.h"

#include "apiserver/edit.h"
#include "base/strings.h"

namespace estiba::apiserver {

void Draft::keep_old(std::string_view member) { set_copy(doc, object, member, old->find(member)); }

// A path may name several places, "a.b|c": the first that is not empty counts.
std::string selectable_value(const SelectableField& field, const json::Node& object) {
  const std::string_view path = field.path.empty() ? field.label : field.path;
  if (path.find('|') != path.npos) {
    for (std::string_view one : split(path, '|'))
      if (std::string value = selectable_value({one, {}, {}}, object); !value.empty()) return value;
    return std::string(field.otherwise);
  }
  const json::Node* value = follow(object, path);
  if (!present(value)) return std::string(field.otherwise);
  switch (value->type()) {
    case json::Type::string: return std::string(value->as_string());
    case json::Type::boolean: return value->as_bool() ? "true" : "false";
    case json::Type::number: return std::string(value->number_text());
    default: return std::string(field.otherwise);
  }
}

}  // namespace estiba::apiserver
