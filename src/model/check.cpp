#include "model/check.h"

#include <algorithm>

#include "base/strings.h"
#include "model/custom/definition.h"

namespace estiba::model {

using json::Document;
using json::Node;
using schema::Field;
using schema::Kind;
using schema::Shape;
using schema::Type;

// ---- required fields and enums

namespace {

class Required {
 public:
  explicit Required(std::vector<FieldCause>& causes) : causes_(causes) {}

  void message(const Node& node, const Type& type, const std::string& path) {
    for (const Field& field : type.fields) {
      const bool top = type.kind && (field.name == "metadata" || field.name == "status");
      if (top) continue;
      const Node* value = node.find(field.name);
      if (absent(value, field)) {
        // Go's zero value stands for missing numbers and booleans that are false.
        if (field.required && field.kind != Kind::boolean && !field.may_be_empty)
          causes_.push_back({"FieldValueRequired", "Required value", path + std::string(field.name)});
        continue;
      }
      if (value->type() >= json::Type::array || field.more) inside(*value, field, path + std::string(field.name));
    }
  }

 private:
  static bool absent(const Node* value, const Field& field) {
    if (!value || value->is_null()) return true;
    if (field.shape == Shape::list) return value->is_array() && value->empty();
    return field.shape == Shape::single && field.kind == Kind::string && value->is_string() && value->as_string().empty() && !field.pointer;
  }

  void inside(const Node& value, const Field& field, const std::string& path) {
    switch (field.shape) {
      case Shape::single: return one(value, field, path);
      case Shape::list: {
        size_t i = 0;
        for (const Node& element : value) one(element, field, path + "[" + std::to_string(i++) + "]");
        return;
      }
      case Shape::map:
        for (const Node& member : value) one(member, field, path + "[" + std::string(member.key()) + "]");
        return;
      case Shape::map_of_lists: return;
    }
  }

  void one(const Node& value, const Field& field, const std::string& path) {
    if (field.kind == Kind::message) return message(value, *field.type, path + ".");
    if (!field.more || field.more->allowed.empty() || !value.is_string()) return;
    const auto allowed = field.more->allowed;
    if (std::ranges::find(allowed, value.as_string()) != allowed.end()) return;
    // A default may be the empty string, which the list of values does not tell (a hostPath's type).
    if (value.as_string().empty() && field.more->default_value == "\"\"") return;
    std::vector<std::string> names;
    for (std::string_view name : allowed) names.push_back(quoted(name));
    std::ranges::sort(names);
    causes_.push_back(
        {"FieldValueNotSupported", "Unsupported value: " + quoted(value.as_string()) + ": supported values: " + join(names, ", "), path});
  }

  std::vector<FieldCause>& causes_;
};

// ---- defaults

void default_one(Document& document, Node& value, const Field& field) {
  if (field.kind == Kind::message && value.is_object()) set_defaults(document, value, *field.type);
}

}  // namespace

std::vector<FieldCause> check_required(const Node& object, const Type& type, std::string path) {
  std::vector<FieldCause> causes;
  if (structural_of(type)) return causes;  // the schema's checks need more than the object (apiserver/custom/)
  Required(causes).message(object, type, path);
  return causes;
}

void set_defaults(Document& document, Node& object, const Type& type) {
  if (const Structural* structural = structural_of(type)) return set_defaults(document, object, *structural);
  for (const Field& field : type.fields) {
    Node* value = object.find(field.name);
    if (!value || value->is_null()) {
      const std::string_view text = field.default_value();
      if (text.empty()) continue;
      const auto parsed = Document::parse(text);
      if (!parsed) continue;  // the generator has checked it
      value = &document.set(object, field.name, document.copy(parsed->root()));
    }
    if (field.kind != Kind::message) continue;
    if (field.shape == Shape::single) default_one(document, *value, field);
    else
      for (Node& element : *value) default_one(document, element, field);
  }
}

}  // namespace estiba::model
