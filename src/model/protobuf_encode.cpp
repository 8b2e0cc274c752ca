#include "base/protobuf_wire.h"
#include "base/strings.h"
#include "base/timestamp.h"
#include "model/int_or_string.h"
#include "model/protobuf.h"

namespace estiba::model {

using json::Node;
using schema::Field;
using schema::Form;
using schema::Kind;
using schema::Shape;
using schema::Type;

namespace {

const Type& schema_props() { return *schema::find_type("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps"); }

std::unexpected<Error> wrong(std::string_view name, const Node& node) {
  return fail(Code::malformed, std::string(name) + ": " + std::string(json::to_string(node.type())) + " does not fit the field's type");
}

Result<void> message(std::string& out, const Node& node, const Type& type, uint8_t embed);

Result<void> timestamp(std::string& out, std::string_view text) {
  const Timestamp time = TRY(parse_timestamp(text));
  wire::put_int(out, 1, time.seconds);
  wire::put_int(out, 2, time.nanos);
  return {};
}

Result<void> nested(std::string& out, uint32_t number, const Node& node, const Type& type) {
  const size_t begin = wire::begin_message(out, number);
  TRY(message(out, node, type, 0));
  wire::end_message(out, begin);
  return {};
}

Result<void> schema_or(std::string& out, const Node& node, Form form) {
  if (form == Form::schema_or_bool) wire::put_int(out, 1, node.is_object() || node.as_bool());
  if (node.is_object()) TRY(nested(out, form == Form::schema_or_bool ? 2 : 1, node, schema_props()));
  if (!node.is_array()) return {};
  for (const Node& element : node) {
    if (form == Form::schema_or_strings) wire::put_bytes(out, 2, element.as_string());
    else TRY(nested(out, 2, element, schema_props()));
  }
  return {};
}

Result<void> special(std::string& out, const Node& node, Form form, std::string_view name) {
  switch (form) {
    case Form::quantity:
      if (!node.is_string() && !node.is_number()) return wrong(name, node);
      wire::put_bytes(out, 1, node.is_string() ? node.as_string() : node.number_text());
      return {};
    case Form::time:
    case Form::micro_time:
      if (!node.is_string()) return wrong(name, node);
      return timestamp(out, node.as_string());
    case Form::int_or_string: {
      const auto value = IntOrString::from(node);
      if (!value) return wrong(name, node);
      wire::put_int(out, 1, value->is_text());
      wire::put_int(out, 2, value->number);
      wire::put_bytes(out, 3, value->text);
      return {};
    }
    case Form::raw_extension:
    case Form::fields:
    case Form::json:
    case Form::patch: wire::put_bytes(out, 1, json::print(node)); return {};
    case Form::schema_or_array:
    case Form::schema_or_bool:
    case Form::schema_or_strings: return schema_or(out, node, form);
    case Form::message: break;
  }
  return {};
}

// One value, as a field of this number.
Result<void> one(std::string& out, const Node& node, const Field& field, uint32_t number) {
  switch (field.kind) {
    case Kind::string:
      if (!node.is_string()) return wrong(field.name, node);
      wire::put_bytes(out, number, node.as_string());
      return {};
    case Kind::boolean:
      if (!node.is_bool()) return wrong(field.name, node);
      wire::put_int(out, number, node.as_bool());
      return {};
    case Kind::int32:
    case Kind::int64: {
      const auto value = node.as_int();
      if (!value) return wrong(field.name, node);
      wire::put_int(out, number, *value);
      return {};
    }
    case Kind::number: {
      const auto value = node.as_double();
      if (!value) return wrong(field.name, node);
      wire::put_double(out, number, *value);
      return {};
    }
    case Kind::bytes: wire::put_bytes(out, number, TRY(base64_decode(node.as_string()))); return {};
    case Kind::object:
    case Kind::any: wire::put_bytes(out, number, json::print(node)); return {};
    case Kind::message: return nested(out, number, node, *field.type);
    case Kind::special: {
      const size_t begin = wire::begin_message(out, number);
      TRY(special(out, node, field.type->form, field.name));
      wire::end_message(out, begin);
      return {};
    }
  }
  return {};
}

Result<void> list(std::string& out, const Node& node, const Field& field, uint32_t number) {
  if (!node.is_array()) return wrong(field.name, node);
  for (const Node& element : node) TRY(one(out, element, field, number));
  return {};
}

Result<void> value(std::string& out, const Node& node, const Field& field) {
  if (field.shape == Shape::single) return one(out, node, field, field.number);
  if (field.shape == Shape::list) {
    if (!field.wrapped) return list(out, node, field, field.number);
    const size_t begin = wire::begin_message(out, field.number);
    TRY(list(out, node, field, 1));
    wire::end_message(out, begin);
    return {};
  }
  if (!node.is_object()) return wrong(field.name, node);
  for (const Node& member : node) {
    const size_t entry = wire::begin_message(out, field.number);
    wire::put_bytes(out, 1, member.key());
    if (field.shape == Shape::map) {
      TRY(one(out, member, field, 2));
    } else {
      const size_t items = wire::begin_message(out, 2);
      TRY(list(out, member, field, 1));
      wire::end_message(out, items);
    }
    wire::end_message(out, entry);
  }
  return {};
}

Result<void> message(std::string& out, const Node& node, const Type& type, uint8_t embed) {
  if (!node.is_object()) return wrong(type.name, node);
  for (const Field& field : type.fields) {
    if (field.embed != embed || !field.number) continue;
    const Node* child = node.find(field.name);
    if (child && !child->is_null()) TRY(value(out, *child, field));
  }
  for (size_t i = 0; i < type.embeds.size(); ++i) {
    if (type.embeds[i].parent != embed) continue;
    const size_t begin = wire::begin_message(out, type.embeds[i].number);
    TRY(message(out, node, type, uint8_t(i + 1)));
    wire::end_message(out, begin);
  }
  return {};
}

}  // namespace

Result<std::string> to_protobuf_message(const Node& object, const Type& type) {
  std::string out;
  TRY(message(out, object, type, 0));
  return out;
}

Result<void> append_protobuf_message(std::string& out, const Node& object, const Type& type) { return message(out, object, type, 0); }

std::string protobuf_envelope_head(std::string_view api_version, std::string_view kind, size_t message_size) {
  std::string out(protobuf_magic);
  const size_t type_meta = wire::begin_message(out, 1);
  wire::put_bytes(out, 1, api_version);
  wire::put_bytes(out, 2, kind);
  wire::end_message(out, type_meta);
  wire::put_tag(out, 2, wire::Type::bytes);
  wire::put_varint(out, message_size);
  return out;
}

std::string protobuf_envelope_tail() {
  std::string out;
  wire::put_bytes(out, 3, "");
  wire::put_bytes(out, 4, "");
  return out;
}

std::string protobuf_envelope(std::string_view api_version, std::string_view kind, std::string_view message) {
  std::string out = protobuf_envelope_head(api_version, kind, message.size());
  out += message;
  return out + protobuf_envelope_tail();
}

Result<std::string> to_protobuf(const Node& object, const Type& type) {
  std::string api_version(object.string_at("apiVersion"));
  if (api_version.empty()) api_version = schema::join_api_version(type.package->group, type.package->version);
  const std::string_view kind = object.string_at("kind");
  return protobuf_envelope(api_version, kind.empty() ? type.name : kind, TRY(to_protobuf_message(object, type)));
}

std::string protobuf_watch_event(std::string_view event, std::string_view object) {
  std::string raw, message;
  wire::put_bytes(raw, 1, object);
  wire::put_bytes(message, 1, event);
  wire::put_bytes(message, 2, raw);
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) out += char(message.size() >> shift);
  return out + message;
}

}  // namespace estiba::model
