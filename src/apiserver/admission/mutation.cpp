#include "apiserver/admission/mutation.h"

#include "apiserver/edit.h"
#include "base/strings.h"
#include "cel/compare.h"
#include "cel/time.h"
#include "model/field_set.h"
#include "model/patch.h"
#include "model/typed.h"

namespace estiba::apiserver::admission {
namespace {

using json::Document;
using json::Node;
using model::schema::Field;
using model::schema::ListType;
using model::schema::MapType;
using model::schema::Shape;
using model::schema::Type;

constexpr size_t deepest = 200;

const cel::Message* message_of(const cel::Value& value) {
  return value.is_object(cel::Object::Is::message) ? static_cast<const cel::Message*>(value.as_object()) : nullptr;
}

// Values as JSON; messages by their fields.
class Writer {
 public:
  Writer(cel::Memory& memory, Document& doc) : memory_(memory), doc_(doc) {}

  // `path` is the name that a message here must have ("Object.spec"); empty: any.
  Result<Node*> write(const cel::Value& value, const std::string& path = {}, size_t depth = 0) {
    if (depth > deepest) return fail(Code::invalid, "a value is nested too deeply");
    if (value.is_json()) return &doc_.copy(value.node());
    switch (value.kind()) {
      case cel::Kind::null: return &doc_.make_null();
      case cel::Kind::boolean: return &doc_.make_bool(value.as_bool());
      case cel::Kind::integer: return &doc_.make_int(value.as_int());
      case cel::Kind::uinteger: return &doc_.make_number(std::to_string(value.as_uint()));
      case cel::Kind::real: return &doc_.make_double(value.as_double());
      case cel::Kind::string: return &doc_.make_string(value.text());
      case cel::Kind::bytes: return &doc_.make_string(base64_encode(value.text()));
      case cel::Kind::duration: return &doc_.make_string(cel::print_duration(value.nanos()));
      case cel::Kind::timestamp: return &doc_.make_string(cel::print_timestamp(value.time()));
      case cel::Kind::list: return list(value, path, depth);
      case cel::Kind::map: return map(value, path, depth);
      case cel::Kind::optional: return value.inner() ? write(*value.inner(), path, depth + 1) : Result<Node*>(&doc_.make_null());
      case cel::Kind::object:
        if (const cel::Message* message = message_of(value)) return object(*message, path, depth);
        break;
      default: break;
    }
    return fail(Code::invalid, "a value of type " + std::string(cel::type_name(value)) + " cannot be written as JSON");
  }

 private:
  Result<Node*> list(const cel::Value& value, const std::string& path, size_t depth) {
    Node& out = doc_.make_array();
    for (cel::Items items(memory_, value); !items.done();) doc_.append(out, *TRY(write(items.next(), path, depth + 1)));
    return &out;
  }

  Result<Node*> map(const cel::Value& value, const std::string& path, size_t depth) {
    Node& out = doc_.make_object();
    for (cel::Items items(memory_, value); !items.done();) {
      cel::Value inner;
      const cel::Value key = items.next(&inner);
      if (!key.is(cel::Kind::string)) return fail(Code::invalid, "the keys of a map must be strings");
      doc_.set(out, key.text(), *TRY(write(inner, path, depth + 1)));
    }
    return &out;
  }

  Result<Node*> object(const cel::Message& message, const std::string& path, size_t depth) {
    if (!path.empty() && message.type->name != path)
      return fail(Code::invalid, "type mismatch: unexpected type name " + quoted(message.type->name) + ", expected " + quoted(path) +
                                     ", which matches field name path from root Object type");
    Node& out = doc_.make_object();
    const std::string here = path.empty() ? std::string(message.type->name) : path;
    for (size_t i = 0; i < message.names.size(); i++) {
      const cel::Value& value = message.values[i];
      if (value.is(cel::Kind::optional) && !value.inner()) continue;
      doc_.set(out, message.names[i], *TRY(write(value, here + "." + std::string(message.names[i]), depth + 1)));
    }
    return &out;
  }

  cel::Memory& memory_;
  Document& doc_;
};

Result<Node*> operation_of(cel::Memory& memory, Document& doc, const cel::Value& value) {
  const cel::Message* operation = message_of(value);
  if (!operation || operation->type->name != "JSONPatch")
    return fail(Code::invalid, "type mismatch: JSONPatchType.expression should evaluate to array of JSONPatch");
  Node& out = doc.make_object();
  for (std::string_view key : {"op", "path", "from"}) {
    const cel::Value* text = operation->find(key);
    if (text && text->is(cel::Kind::string) && (key != "from" || !text->text().empty())) doc.set(out, key, text->text());
  }
  if (const cel::Value* given = operation->find("value")) doc.set(out, "value", *TRY(Writer(memory, doc).write(*given)));
  return &out;
}

bool is_atomic(const Field& field) {
  if (field.shape == Shape::list) return field.list_type != ListType::map && field.list_type != ListType::set;
  if (field.map_type != MapType::none) return field.map_type == MapType::atomic;
  return field.shape == Shape::single && field.type && field.type->map_type == MapType::atomic;
}

// Atomic lists, maps and structs that a configuration sets.
void find_atomics(const Node& object, const Type& type, const std::string& path, std::vector<std::string>& out) {
  for (const Node& member : object) {
    const Field* field = type.find(member.key());
    if (!field) continue;
    const std::string where = path + "." + std::string(member.key());
    if ((member.is_object() || member.is_array()) && is_atomic(*field)) out.push_back(where);
    if (!field->type || field->kind != model::schema::Kind::message) continue;
    if (field->shape == Shape::single && member.is_object()) find_atomics(member, *field->type, where, out);
    if (field->shape != Shape::list || !member.is_array()) continue;
    size_t i = 0;
    for (const Node& element : member) find_atomics(element, *field->type, where + "[" + std::to_string(i++) + "]", out);
  }
}

}  // namespace

Result<Document> json_patched(cel::Memory& memory, const cel::Value& operations, const Node& object) {
  Document patch;
  Node& list = patch.make_array();
  patch.set_root(list);
  for (cel::Items items(memory, operations); !items.done();) patch.append(list, *TRY(operation_of(memory, patch, items.next())));
  Document doc;
  doc.set_root(doc.copy(object));
  auto applied = model::apply_json_patch(doc, list);
  if (applied) return doc;
  // A failed test is the policy's way to say that there is nothing to do.
  if (!applied.error().message.starts_with("testing value ")) return fail(Code::invalid, "JSON Patch: " + applied.error().message);
  doc.set_root(doc.copy(object));
  return doc;
}

Result<Document> configured(cel::Memory& memory, const cel::Value& configuration, const Node& object, const Type* type) {
  if (!type) return fail(Code::unavailable, "objects of kind " + std::string(object.string_at("kind")) + " have no schema to apply to");
  Document wanted;
  wanted.set_root(*TRY(Writer(memory, wanted).write(configuration, "Object")));
  Node& root = wanted.root();
  if (!root.is_object()) return fail(Code::invalid, "unsupported return type from ApplyConfiguration expression");
  for (std::string_view key : {"apiVersion", "kind"}) wanted.set(root, key, object.string_at(key));
  if (const std::vector<std::string> wrong = model::check_typed(root, *type); !wrong.empty())
    return fail(Code::invalid, "error applying patch: failed to convert patch object to typed object: " + join(wrong, "\n"));
  std::vector<std::string> atomics;
  find_atomics(root, *type, "", atomics);
  if (!atomics.empty())
    return fail(Code::invalid,
                "error applying patch: invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: " + join(atomics, ", "));
  Document doc;
  doc.set_root(doc.copy(object));
  model::FieldPool pool;
  model::merge_typed(pool, doc, doc.root(), root, *type);
  return doc;
}

}  // namespace estiba::apiserver::admission
