#include "base/protobuf_wire.h"
#include "base/strings.h"
#include "base/timestamp.h"
#include "model/protobuf.h"

namespace estiba::model {

using json::Document;
using json::Node;
using schema::Field;
using schema::Form;
using schema::Kind;
using schema::Shape;
using schema::Type;

namespace {

constexpr int max_depth = 100;

std::unexpected<Error> broken(std::string_view what) { return fail(Code::malformed, "protobuf: " + std::string(what)); }

bool valid_utf8(std::string_view text) {
  // A JSON string of the text parses only if the text is valid: print replaces what is not.
  std::string printed;
  json::append_string(printed, text);
  return printed.find("\\ufffd") == std::string::npos;
}

Result<Document> envelope(std::string_view bytes, int depth);

class Decoder {
 public:
  explicit Decoder(Document& document) : document_(document) {}

  Result<void> message(Node& out, const Type& type, uint8_t embed, std::string_view bytes, int depth) {
    if (depth > max_depth) return broken(std::string(type.name) + " is nested too deeply");
    for (wire::Reader reader(bytes); !reader.done();) {
      const auto raw = reader.next();
      if (!raw) return broken(std::string(type.name) + ": the message is cut off or malformed");
      if (const Field* field = find(type, embed, raw->number)) TRY(value(out, *field, *raw, depth));
      for (size_t i = 0; i < type.embeds.size(); ++i)
        if (type.embeds[i].parent == embed && type.embeds[i].number == raw->number)
          TRY(message(out, type, uint8_t(i + 1), raw->bytes, depth + 1));
    }
    return {};
  }

  Result<Node*> raw_json(std::string_view bytes, int depth) {
    if (bytes.starts_with(protobuf_magic)) {
      return &document_.copy(TRY(envelope(bytes, depth)).root());
    }
    return &document_.copy(TRY(Document::parse(bytes)).root());
  }

 private:
  static const Field* find(const Type& type, uint8_t embed, uint32_t number) {
    for (const Field& field : type.fields)
      if (field.number == number && field.embed == embed) return &field;
    return nullptr;
  }

  std::unexpected<Error> mismatch(const Field& field) const {
    return broken("field " + std::string(field.name) + " has the wrong wire type");
  }

  Node& member(Node& out, const Field& field) {
    if (Node* old = out.find(field.name)) return *old;
    return document_.add(out, field.name, field.shape == Shape::list ? document_.make_array() : document_.make_object());
  }

  Result<void> value(Node& out, const Field& field, const wire::Field& raw, int depth) {
    switch (field.shape) {
      case Shape::single: {
        Node* made = TRY(one(field, raw, depth));
        // What Go writes for values that are not set.
        if (made && (field.required || field.pointer || !zero(*made, field))) document_.set(out, field.name, *made);
        return {};
      }
      case Shape::list:
        if (!field.wrapped) return elements(member(out, field), field, raw, depth);
        return wrapped(member(out, field), field, raw, depth);
      case Shape::map:
      case Shape::map_of_lists: return entry(member(out, field), field, raw, depth);
    }
    return {};
  }

  static bool zero(const Node& node, const Field& field) {
    switch (field.kind) {
      case Kind::string:
      case Kind::bytes: return node.as_string().empty();
      case Kind::boolean: return !node.as_bool();
      case Kind::int32:
      case Kind::int64: return node.as_int() == 0;
      case Kind::special: return field.type->form == Form::int_or_string && node.as_int() == 0;
      default: return false;
    }
  }

  Result<void> elements(Node& list, const Field& field, const wire::Field& raw, int depth) {
    const bool number = field.kind == Kind::boolean || field.kind == Kind::int32 || field.kind == Kind::int64;
    if (number && raw.type == wire::Type::bytes) {  // packed
      for (wire::Reader reader(raw.bytes); !reader.done();) {
        const auto one_value = reader.varint();
        if (!one_value) return broken("a packed list is cut off");
        TRY(elements(list, field, {raw.number, wire::Type::varint, *one_value, {}}, depth));
      }
      return {};
    }
    Node* made = TRY(one(field, raw, depth));
    document_.append(list, made ? *made : document_.make_null());
    return {};
  }

  Result<void> wrapped(Node& list, const Field& field, const wire::Field& raw, int depth) {
    if (raw.type != wire::Type::bytes) return mismatch(field);
    for (wire::Reader reader(raw.bytes); !reader.done();) {
      const auto item = reader.next();
      if (!item) return broken("field " + std::string(field.name) + " is cut off");
      if (item->number == 1) TRY(elements(list, field, *item, depth));
    }
    return {};
  }

  Result<void> entry(Node& map, const Field& field, const wire::Field& raw, int depth) {
    if (raw.type != wire::Type::bytes) return mismatch(field);
    std::string_view key;
    Node* made = nullptr;
    for (wire::Reader reader(raw.bytes); !reader.done();) {
      const auto part = reader.next();
      if (!part) return broken("field " + std::string(field.name) + " is cut off");
      if (part->number == 1) key = part->bytes;
      if (part->number != 2) continue;
      if (field.shape == Shape::map) made = TRY(one(field, *part, depth));
      else TRY(wrapped(*(made = &document_.make_array()), field, *part, depth));
    }
    if (!valid_utf8(key)) return broken("a key of field " + std::string(field.name) + " is no valid UTF-8");
    if (!made) made = field.kind == Kind::message ? &document_.make_object() : &document_.make_string("");
    document_.set(map, key, *made);
    return {};
  }

  // Null when there is no value (a time that is zero).
  Result<Node*> one(const Field& field, const wire::Field& raw, int depth) {
    const bool integer = field.kind == Kind::boolean || field.kind == Kind::int32 || field.kind == Kind::int64;
    const auto expected = integer ? wire::Type::varint : field.kind == Kind::number ? wire::Type::fixed64 : wire::Type::bytes;
    if (raw.type != expected) return mismatch(field);
    switch (field.kind) {
      case Kind::string:
        if (!valid_utf8(raw.bytes)) return broken("field " + std::string(field.name) + " is no valid UTF-8");
        return &document_.make_string(raw.bytes);
      case Kind::boolean: return &document_.make_bool(raw.integer != 0);
      case Kind::int32: return &document_.make_int(int32_t(raw.integer));
      case Kind::int64: return &document_.make_int(int64_t(raw.integer));
      case Kind::number: return &document_.make_double(raw.as_double());
      case Kind::bytes: return &document_.make_string(base64_encode(raw.bytes));
      case Kind::object:
      case Kind::any: return raw_json(raw.bytes, depth + 1);
      case Kind::message: {
        Node& out = document_.make_object();
        TRY(message(out, *field.type, 0, raw.bytes, depth + 1));
        return &out;
      }
      case Kind::special: return special(field.type->form, raw.bytes, depth + 1);
    }
    return nullptr;
  }

  Result<Node*> special(Form form, std::string_view bytes, int depth) {
    // All of them have few fields: keep the last value of each, and the repeated ones as they come.
    wire::Field first{}, second{}, third{};
    Node* list = nullptr;
    for (wire::Reader reader(bytes); !reader.done();) {
      const auto raw = reader.next();
      if (!raw) return broken("a value is cut off or malformed");
      if (raw->number == 1) first = *raw;
      if (raw->number == 2) second = *raw;
      if (raw->number == 3) third = *raw;
      const bool repeated = raw->number == 2 && (form == Form::schema_or_array || form == Form::schema_or_strings);
      if (!repeated) continue;
      if (!list) list = &document_.make_array();
      document_.append(*list, form == Form::schema_or_strings ? document_.make_string(raw->bytes) : *TRY(props(raw->bytes, depth)));
    }
    if (list) return list;
    switch (form) {
      case Form::quantity: return &document_.make_string(first.bytes.empty() ? "0" : first.bytes);
      case Form::time:
      case Form::micro_time: return time(form, bytes, int64_t(first.integer), int32_t(second.integer));
      case Form::int_or_string:
        return first.integer == 1 ? &document_.make_string(third.bytes) : &document_.make_int(int32_t(second.integer));
      case Form::schema_or_bool:
        if (second.number) return props(second.bytes, depth);
        return &document_.make_bool(first.integer != 0);
      case Form::schema_or_array:
      case Form::schema_or_strings: return first.number ? props(first.bytes, depth) : &document_.make_array();
      case Form::raw_extension:
      case Form::fields:
      case Form::json:
      case Form::patch: return first.bytes.empty() ? Result<Node*>(nullptr) : raw_json(first.bytes, depth);
      case Form::message: break;
    }
    return nullptr;
  }

  Result<Node*> props(std::string_view bytes, int depth) {
    Node& out = document_.make_object();
    TRY(message(out, *schema::find_type("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps"), 0, bytes, depth + 1));
    return &out;
  }

  Result<Node*> time(Form form, std::string_view bytes, int64_t seconds, int32_t nanos) {
    if (bytes.empty()) return nullptr;
    constexpr int64_t limit = 253402300800;  // the year 10000
    if (seconds < -62135596800 || seconds >= limit) return broken("a time is out of range");
    if (nanos < 0 || nanos > 999'999'999) return broken("a time's nanoseconds are out of range");
    const Timestamp at{seconds, nanos};
    return &document_.make_string(form == Form::time ? format_rfc3339(at) : format_rfc3339_micro(at));
  }

  Document& document_;
};

Result<Document> envelope(std::string_view bytes, int depth) {
  if (!bytes.starts_with(protobuf_magic)) return broken("the body does not begin with \"k8s\\0\"");
  std::string_view api_version, kind, raw, content_type;
  for (wire::Reader reader(bytes.substr(protobuf_magic.size())); !reader.done();) {
    const auto field = reader.next();
    if (!field) return broken("the envelope is cut off or malformed");
    if (field->number == 2) raw = field->bytes;
    if (field->number == 4) content_type = field->bytes;
    if (field->number != 1) continue;
    for (wire::Reader meta(field->bytes); !meta.done();) {
      const auto part = meta.next();
      if (!part) return broken("the envelope is cut off or malformed");
      if (part->number == 1) api_version = part->bytes;
      if (part->number == 2) kind = part->bytes;
    }
  }
  if (content_type.starts_with("application/json")) return Document::parse(raw);
  const Type* type = schema::find_kind(api_version, kind);
  if (!type) return fail(Code::unsupported, "no kind " + quoted(kind) + " is registered for version " + quoted(api_version));
  Document document;
  Node& root = document.make_object();
  document.add(root, "apiVersion", document.make_string(api_version));
  document.add(root, "kind", document.make_string(kind));
  TRY(Decoder(document).message(root, *type, 0, raw, depth));
  document.set_root(root);
  return document;
}

}  // namespace

Result<Document> from_protobuf_message(std::string_view bytes, const Type& type) {
  Document document;
  Node& root = document.make_object();
  TRY(Decoder(document).message(root, type, 0, bytes, 0));
  document.set_root(root);
  return document;
}

Result<Document> from_protobuf(std::string_view bytes) { return envelope(bytes, 0); }

}  // namespace estiba::model
