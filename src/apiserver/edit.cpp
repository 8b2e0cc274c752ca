#include "apiserver/edit.h"

namespace estiba::apiserver {

bool has_value(const json::Node& object, std::string_view key) {
  const json::Node* node = object.find(key);
  if (!node) return false;
  switch (node->type()) {
    case json::Type::null: return false;
    case json::Type::boolean: return node->as_bool();
    case json::Type::number: return node->as_double().value_or(0) != 0;
    case json::Type::string: return !node->as_string().empty();
    default: return !node->empty();
  }
}

void default_string(json::Document& doc, json::Node& object, std::string_view key, std::string_view value) {
  const json::Node* node = object.find(key);
  if (!present(node) || (node->is_string() && node->as_string().empty())) doc.set(object, key, value);
}

void default_int(json::Document& doc, json::Node& object, std::string_view key, int64_t value) {
  if (!has(object, key)) set_int(doc, object, key, value);
}

void default_bool(json::Document& doc, json::Node& object, std::string_view key, bool value) {
  if (!has(object, key)) set_bool(doc, object, key, value);
}

json::Node& ensure_array(json::Document& doc, json::Node& object, std::string_view key) {
  json::Node* node = object.find(key);
  if (node && node->is_array()) return *node;
  return doc.set(object, key, doc.make_array());
}

void set_int(json::Document& doc, json::Node& object, std::string_view key, int64_t value) { doc.set(object, key, doc.make_int(value)); }

void set_bool(json::Document& doc, json::Node& object, std::string_view key, bool value) { doc.set(object, key, doc.make_bool(value)); }

void set_copy(json::Document& doc, json::Node& object, std::string_view key, const json::Node* value) {
  if (present(value)) doc.set(object, key, doc.copy(*value));
  else doc.remove(object, key);
}

bool same(const json::Node* a, const json::Node* b) {
  if (!present(a) || !present(b)) return present(a) == present(b);
  return json::equal(*a, *b);
}

}  // namespace estiba::apiserver
