#include "apiserver/strategy.h"

#include "apiserver/edit.h"

namespace estiba::apiserver {

void Draft::keep_old(std::string_view member) { set_copy(doc, object, member, old->find(member)); }

std::string selectable_value(const SelectableField& field, const json::Node& object) {
  const json::Node* value = follow(object, field.path.empty() ? field.label : field.path);
  if (!present(value)) return std::string(field.otherwise);
  switch (value->type()) {
    case json::Type::string: return std::string(value->as_string());
    case json::Type::boolean: return value->as_bool() ? "true" : "false";
    case json::Type::number: return std::string(value->number_text());
    default: return std::string(field.otherwise);
  }
}

}  // namespace estiba::apiserver
