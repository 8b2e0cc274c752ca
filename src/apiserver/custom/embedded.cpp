#include "apiserver/custom/values.h"
#include "apiserver/edit.h"
#include "apiserver/kinds/rules.h"
#include "base/strings.h"
#include "model/names.h"

namespace estiba::apiserver {
namespace {

using json::Node;
using model::Structural;

std::string below(const std::string& path, std::string_view key) { return path.empty() ? std::string(key) : path + "." + std::string(key); }

void check_text(const Node& value, std::string_view key, const std::string& path, FieldErrors& errors) {
  const Node* text = value.find(key);
  const std::string where = below(path, key);
  if (!text) return errors.required(where);
  if (!text->is_string()) return errors.invalid(where, text, "must be a string");
  if (text->as_string().empty()) return errors.invalid(where, text, "must not be empty");
  if (key == "apiVersion") {
    const std::string_view version = text->as_string();
    if (std::count(version.begin(), version.end(), '/') > 1)
      errors.invalid(where, text, "unexpected GroupVersion string: " + std::string(version));
    return;
  }
  const auto problems = model::check_dns1035_label(to_lower(text->as_string()));
  if (!problems.empty()) errors.invalid(where, text, "may have mixed case, but should otherwise match: " + join(problems, ","));
}

void check_metadata(const Node& metadata, const std::string& path, FieldErrors& errors) {
  for (std::string_view key : {"name", "generateName", "namespace"}) {
    const std::string_view text = metadata.string_at(key);
    if (!text.empty()) require_path_segment(text, below(path, key), errors);
  }
  validate_labels(metadata.find("labels"), below(path, "labels"), errors);
  if (const Node* annotations = metadata.find("annotations"))
    for (const Node& annotation : *annotations) require_qualified_name(to_lower(annotation.key()), below(path, "annotations"), errors);
}

}  // namespace

void check_embedded(const Node& value, const Structural& schema, const std::string& path, FieldErrors& errors) {
  if (!schema.has_embedded) return;
  if (value.is_object()) {
    if (schema.embedded) {
      check_text(value, "apiVersion", path, errors);
      check_text(value, "kind", path, errors);
      if (const Node* metadata = value.find("metadata"); present(metadata)) check_metadata(*metadata, below(path, "metadata"), errors);
    }
    for (const Node& member : value)
      if (const Structural* known = schema.member(member.key()))
        check_embedded(member, *known, schema.properties.contains(member.key()) ? below(path, member.key()) : at(path, member.key()),
                       errors);
  } else if (value.is_array() && schema.items) {
    size_t i = 0;
    for (const Node& element : value) check_embedded(element, *schema.items, at(path, i++), errors);
  }
}

}  // namespace estiba::apiserver
