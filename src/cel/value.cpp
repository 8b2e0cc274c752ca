#include "cel/value.h"

#include "base/go_duration.h"
#include "cel/time.h"

namespace estiba::cel {

static Value invalid(std::string_view text) { return Value::error(text); }

static Value dynamic_number(const json::Node& node) {
  const std::string_view text = node.number_text();
  if (text.find_first_of(".eE") == std::string_view::npos)
    if (const auto number = node.as_int()) return Value::integer(*number);
  return Value::real(node.as_double().value_or(0));
}

Value Value::json(const json::Node& node, const DeclType* decl) {
  const DeclForm form = decl ? decl->form : DeclForm::dyn;
  const auto container = [&](Kind kind) {
    return make(kind, [&](Value& v) { v.node_ = &node, v.extra_ = decl, v.size_ = node.size(), v.form_ = Form::json; });
  };
  if (node.is_null() && form != DeclForm::dyn)
    return decl->nullable ? Value::null() : invalid("invalid data, got null for schema with nullable=false");
  switch (form) {
    case DeclForm::dyn: break;
    case DeclForm::boolean: return node.is_bool() ? boolean(node.as_bool()) : invalid("invalid data, expected bool");
    case DeclForm::integer:
      if (const auto number = node.as_int()) return integer(*number);
      return invalid("invalid data, expected int");
    case DeclForm::real: return node.is_number() ? real(node.as_double().value_or(0)) : invalid("invalid data, expected float");
    case DeclForm::int_or_string:
      if (node.is_string()) return string(node.as_string());
      if (const auto number = node.as_int()) return integer(*number);
      return invalid("invalid data, expected XIntOrString value to be either a string or integer");
    case DeclForm::list:
      return node.is_array() ? container(Kind::list) : invalid("invalid data, expected an array for the provided schema with type=array");
    case DeclForm::map:
    case DeclForm::object:
      return node.is_object() ? container(Kind::map) : invalid("invalid data, expected a map for the provided schema with type=object");
    default: return node.is_string() ? read_string(node, form) : invalid("invalid data, expected string");
  }
  switch (node.type()) {
    case json::Type::null: return Value::null();
    case json::Type::boolean: return boolean(node.as_bool());
    case json::Type::number: return dynamic_number(node);
    case json::Type::string: return string(node.as_string());
    case json::Type::array: return container(Kind::list);
    case json::Type::object: return container(Kind::map);
  }
  return Value::null();
}

Value Value::read_string(const json::Node& node, DeclForm form) {
  const std::string_view text = node.as_string();
  switch (form) {
    case DeclForm::duration: {
      const auto duration = parse_go_duration(text);
      return duration ? Value::duration(duration->count()) : invalid("Invalid duration");
    }
    case DeclForm::date: {
      const auto time = parse_timestamp(std::string(text) + "T00:00:00Z");
      return time && text.size() == 10 ? timestamp(*time) : invalid("Invalid date formatted string");
    }
    case DeclForm::date_time: {
      const auto time = parse_timestamp(text);
      return time ? timestamp(*time) : invalid("Invalid date-time formatted string");
    }
    case DeclForm::bytes: return Value::bytes(text);  // Memory decodes base64 where it reads the member
    default: return string(text);
  }
}

const Type* type_of(const Value& value) {
  switch (value.kind()) {
    case Kind::error: return &types::error;
    case Kind::null: return &types::null;
    case Kind::boolean: return &types::boolean;
    case Kind::integer: return &types::integer;
    case Kind::uinteger: return &types::uinteger;
    case Kind::real: return &types::real;
    case Kind::string: return &types::string;
    case Kind::bytes: return &types::bytes;
    case Kind::duration: return &types::duration;
    case Kind::timestamp: return &types::timestamp;
    case Kind::list: return &types::list_dyn;
    case Kind::map: return &types::map_dyn;
    case Kind::type: return &types::type;
    case Kind::optional: return find_named_type("optional_type");
    case Kind::object: return value.object_type();
  }
  return &types::error;
}

std::string_view type_name(const Value& value) { return runtime_name(*type_of(value)); }

}  // namespace estiba::cel
