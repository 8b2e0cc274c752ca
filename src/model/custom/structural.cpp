#include "model/custom/structural.h"

#include <algorithm>
#include <array>

namespace estiba::model {

using json::Document;
using json::Node;

namespace {

Structural::Type type_of(std::string_view text) {
  using enum Structural::Type;
  for (const auto type : {object, array, string, integer, number, boolean})
    if (to_string(type) == text) return type;
  return none;
}

bool flag(const Node& source, std::string_view key) {
  const Node* node = source.find(key);
  return node && node->as_bool();
}

std::optional<double> number(const Node& source, std::string_view key) {
  const Node* node = source.find(key);
  return node ? node->as_double() : std::nullopt;
}

std::optional<int64_t> integer(const Node& source, std::string_view key) {
  const Node* node = source.find(key);
  return node ? node->as_int() : std::nullopt;
}

std::vector<std::string_view> strings(const Node& source, std::string_view key) {
  std::vector<std::string_view> out;
  if (const Node* list = source.find(key))
    for (const Node& text : *list) out.push_back(text.as_string());
  return out;
}

std::vector<Structural> schemas(const Node& source, std::string_view key) {
  std::vector<Structural> out;
  if (const Node* list = source.find(key); list && list->is_array())
    for (const Node& schema : *list) out.push_back(Structural::parse(schema));
  return out;
}

std::vector<ValidationRule> rules(const Node& source) {
  std::vector<ValidationRule> out;
  const Node* list = source.find("x-kubernetes-validations");
  if (!list) return out;
  for (const Node& node : *list) {
    ValidationRule& rule = out.emplace_back();
    rule.rule = node.string_at("rule");
    rule.message = node.string_at("message");
    rule.message_expression = node.string_at("messageExpression");
    rule.reason = node.string_at("reason");
    rule.field_path = node.string_at("fieldPath");
    if (const Node* optional = node.find("optionalOldSelf"); optional && optional->is_bool()) rule.optional_old_self = optional->as_bool();
  }
  return out;
}

// Formats by their names without dashes, since Kubernetes 1.0, and those of 1.34.
constexpr std::array string_formats = {
    std::string_view("bsonobjectid"), std::string_view("byte"),     std::string_view("cidr"),     std::string_view("creditcard"),
    std::string_view("date"),         std::string_view("datetime"), std::string_view("duration"), std::string_view("email"),
    std::string_view("hexcolor"),     std::string_view("hostname"), std::string_view("ipv4"),     std::string_view("ipv6"),
    std::string_view("isbn"),         std::string_view("isbn10"),   std::string_view("isbn13"),   std::string_view("k8slongname"),
    std::string_view("k8sshortname"), std::string_view("mac"),      std::string_view("password"), std::string_view("rgbcolor"),
    std::string_view("ssn"),          std::string_view("uri"),      std::string_view("uuid"),     std::string_view("uuid3"),
    std::string_view("uuid4"),        std::string_view("uuid5"),
};

void read_values(Structural& out, const Node& source) {
  out.pattern = source.string_at("pattern");
  out.maximum = number(source, "maximum");
  out.minimum = number(source, "minimum");
  out.multiple_of = number(source, "multipleOf");
  out.exclusive_maximum = flag(source, "exclusiveMaximum");
  out.exclusive_minimum = flag(source, "exclusiveMinimum");
  out.max_length = integer(source, "maxLength");
  out.min_length = integer(source, "minLength");
  out.max_items = integer(source, "maxItems");
  out.min_items = integer(source, "minItems");
  out.max_properties = integer(source, "maxProperties");
  out.min_properties = integer(source, "minProperties");
  out.required = strings(source, "required");
  out.all_of = schemas(source, "allOf");
  out.any_of = schemas(source, "anyOf");
  out.one_of = schemas(source, "oneOf");
  if (const Node* negated = source.find("not"); negated && negated->is_object())
    out.negated = std::make_unique<Structural>(Structural::parse(*negated));
  if (const Node* allowed = source.find("enum"); allowed && !allowed->empty()) out.allowed = allowed;
}

void read_extensions(Structural& out, const Node& source) {
  out.preserve = flag(source, "x-kubernetes-preserve-unknown-fields");
  out.embedded = flag(source, "x-kubernetes-embedded-resource");
  out.int_or_string = flag(source, "x-kubernetes-int-or-string");
  out.list_keys = strings(source, "x-kubernetes-list-map-keys");
  const std::string_view list = source.string_at("x-kubernetes-list-type"), map = source.string_at("x-kubernetes-map-type");
  if (list == "atomic") out.list_type = schema::ListType::atomic;
  if (list == "set") out.list_type = schema::ListType::set;
  if (list == "map") out.list_type = schema::ListType::map;
  if (map == "atomic") out.map_type = schema::MapType::atomic;
  if (map == "granular") out.map_type = schema::MapType::granular;
  out.rules = rules(source);
}

void note_below(Structural& out, const Structural& below) {
  out.has_defaults |= below.has_defaults;
  out.has_rules |= below.has_rules;
  out.has_embedded |= below.has_embedded;
}

}  // namespace

std::string_view to_string(Structural::Type type) {
  static constexpr std::string_view names[] = {"", "object", "array", "string", "integer", "number", "boolean"};
  return names[size_t(type)];
}

bool is_known_format(Structural::Type type, std::string_view format) {
  switch (type) {
    case Structural::Type::none:
    case Structural::Type::string: {
      std::string plain(format);
      std::erase(plain, '-');
      return std::ranges::find(string_formats, plain) != string_formats.end();
    }
    case Structural::Type::integer: return format == "int32" || format == "int64";
    case Structural::Type::number: return format == "float" || format == "double";
    default: return false;
  }
}

Structural Structural::parse(const Node& source) {
  Structural out;
  out.source = &source;
  out.type = type_of(source.string_at("type"));
  out.nullable = flag(source, "nullable");
  if (const std::string_view format = source.string_at("format"); is_known_format(out.type, format)) out.format = format;
  if (const Node* value = source.find("default"); value && !value->is_null()) out.default_value = value;
  read_values(out, source);
  read_extensions(out, source);
  out.has_defaults = out.default_value != nullptr;
  out.has_rules = !out.rules.empty();
  out.has_embedded = out.embedded;
  if (const Node* properties = source.find("properties"); properties && properties->is_object())
    for (const Node& property : *properties) note_below(out, out.properties[property.key()] = parse(property));
  if (const Node* items = source.find("items"); items && items->is_object()) {
    out.items = std::make_unique<Structural>(parse(*items));
    note_below(out, *out.items);
  }
  if (const Node* additional = source.find("additionalProperties")) {
    if (additional->is_object()) {
      out.additional = std::make_unique<Structural>(parse(*additional));
      note_below(out, *out.additional);
    } else {
      out.additional_any = additional->as_bool();
    }
  }
  return out;
}

}  // namespace estiba::model
