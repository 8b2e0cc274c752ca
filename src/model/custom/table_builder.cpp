#include "model/custom/table_builder.h"

#include <algorithm>

#include "base/strings.h"

namespace estiba::model {

using schema::Field;
using schema::Kind;
using schema::Shape;
using schema::Type;

namespace {

const Type* machinery(std::string_view name) { return schema::find_type("io.k8s.apimachinery.pkg." + std::string(name)); }

// "stable.example.com" and "v1" → "com.example.stable.v1", as Kubernetes names the definitions in OpenAPI.
std::string package_path(std::string_view group, std::string_view version) {
  std::string out;
  auto parts = split(group, '.');
  for (size_t i = parts.size(); i-- > 0;) out.append(parts[i]).append(".");
  return out.append(version);
}

Field plain(std::string_view name, Kind kind) {
  Field out{};
  out.name = name;
  out.kind = kind;
  out.pointer = true;
  return out;
}

Field message(std::string_view name, const Type* type) {
  Field out = plain(name, Kind::message);
  out.type = type;
  return out;
}

// Whether the elements of a list or a map fit a field: one value or one object, no further lists or maps.
bool fits_element(const Structural& schema) {
  return schema.type != Structural::Type::array &&
         !(schema.type == Structural::Type::object && (schema.additional || schema.additional_any));
}

}  // namespace

TableBuilder::TableBuilder(CustomVersion& version, std::string_view group) : version_(version) {
  version.package_path_ = package_path(group, version.name);
  CustomPackage& package = version.package_;
  package.path = version.package_path_;
  package.group = group;
  package.version = version.name;
  package.owner = &version;
}

schema::FieldMore& TableBuilder::more(Field& field) {
  if (field.more) return version_.more_.back();  // made a moment ago, for the same field
  schema::FieldMore& out = version_.more_.emplace_back();
  field.more = &out;
  return out;
}

// Keys of lists may have defaults, which tell elements apart that do not say them.
void TableBuilder::set_default(Field& field, const Structural& schema) {
  if (!schema.default_value || field.kind == Kind::message) return;
  schema::FieldMore& made = more(field);
  made.default_value = version_.texts_.emplace_back(json::print(*schema.default_value));
  made.default_published = true;
}

void TableBuilder::value(Field& out, const Structural& schema, std::string_view name) {
  if (schema.int_or_string) {
    out.kind = Kind::special;
    out.type = machinery("util.intstr.IntOrString");
    return;
  }
  switch (schema.type) {
    case Structural::Type::string: out.kind = Kind::string; return;
    case Structural::Type::integer: out.kind = Kind::int64; return;
    case Structural::Type::number: out.kind = Kind::number; return;
    case Structural::Type::boolean: out.kind = Kind::boolean; return;
    case Structural::Type::object:
      if (!schema.properties.empty() || schema.embedded) {
        out.kind = Kind::message;
        out.type = object(schema, name, schema.embedded);
      } else {
        out.kind = Kind::object;
      }
      return;
    case Structural::Type::array:
    case Structural::Type::none: out.kind = Kind::any;
  }
}

Field TableBuilder::field(std::string_view name, const Structural& schema, bool required) {
  Field out = plain(name, Kind::any);
  out.required = required;
  const bool map = schema.type == Structural::Type::object && schema.properties.empty() && schema.additional;
  if (schema.type == Structural::Type::array && schema.items && fits_element(*schema.items)) {
    out.shape = Shape::list;
    out.list_type = schema.list_type == schema::ListType::none ? schema::ListType::atomic : schema.list_type;
    if (!schema.list_keys.empty()) more(out).keys = version_.keys_.emplace_back(schema.list_keys);
    value(out, *schema.items, name);
  } else if (map && fits_element(*schema.additional)) {
    out.shape = Shape::map;
    out.map_type = schema.map_type;
    value(out, *schema.additional, name);
  } else {
    out.map_type = schema.map_type;
    value(out, schema, name);
    set_default(out, schema);
  }
  return out;
}

const Type* TableBuilder::object(const Structural& schema, std::string_view name, bool kind) {
  std::vector<Field>& fields = version_.fields_.emplace_back();
  CustomType& type = version_.types_.emplace_back();
  if (kind) fields.push_back(message("metadata", machinery("apis.meta.v1.ObjectMeta")));
  for (const auto& [key, property] : schema.properties) {
    if (kind && (key == "apiVersion" || key == "kind" || key == "metadata")) continue;
    // `fields` stays where it is: a deque does not move its elements.
    Field made = field(key, property, std::ranges::find(schema.required, key) != schema.required.end());
    fields.push_back(made);
  }
  type.name = name;
  type.package = &version_.package_;
  type.fields = fields;
  type.json = "object";
  type.form = schema::Form::message;
  type.map_type = schema.map_type;
  type.kind = kind;
  type.open = schema.open();
  type.structural = &schema;
  return &type;
}

void TableBuilder::build(std::string_view kind, std::string_view list_kind) {
  const Type* root = object(version_.schema, kind, true);
  std::vector<Field>& fields = version_.fields_.emplace_back();
  fields.push_back(message("metadata", machinery("apis.meta.v1.ListMeta")));
  Field items = message("items", root);
  items.shape = Shape::list;
  items.required = true;
  fields.push_back(items);
  Type& list = version_.types_.emplace_back();
  list.name = list_kind;
  list.package = &version_.package_;
  list.fields = fields;
  list.json = "object";
  list.form = schema::Form::message;
  list.kind = true;
  version_.published_ = {root, &list};
}

}  // namespace estiba::model
