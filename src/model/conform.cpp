#include <charconv>
#include <optional>

#include "base/strings.h"
#include "base/timestamp.h"
#include "model/check.h"
#include "model/custom/definition.h"
#include "model/quantity.h"

namespace estiba::model {

using json::Document;
using json::Node;
using schema::Field;
using schema::Form;
using schema::Kind;
using schema::Shape;
using schema::Type;

namespace {

class Conform {
 public:
  Conform(Document& document, std::vector<std::string>& unknown) : document_(document), unknown_(unknown) {}

  // A step of the path to where we are, for messages. Nothing is built unless one is needed.
  struct Step {
    const Step* up;
    std::string_view key;  // of a member; empty for an element
    uint32_t index = 0;
  };

  Result<void> message(Node& node, const Type& type, const Step* path) {
    std::vector<std::string_view> gone;
    size_t hint = 0;
    for (Node& member : node) {
      const Step step{path, member.key()};
      const Field* field = find(type, member.key(), hint);
      if (!field) {
        if (type.kind && (member.key() == "apiVersion" || member.key() == "kind")) {
          if (!member.is_string() && !member.is_null()) return wrong(member, type, &step, "string");
          continue;
        }
        if (unknown_.size() < most_unknown_fields) unknown_.push_back(print(&step));
        gone.push_back(member.key());
        continue;
      }
      if (member.is_null()) {
        gone.push_back(member.key());
        continue;
      }
      TRY(value(member, *field, type, &step));
      if (empty(member, *field)) gone.push_back(member.key());
    }
    for (std::string_view key : gone) document_.remove(node, key);
    return {};
  }

 private:
  static const Field* find(const Type& type, std::string_view key, size_t& hint) {
    const size_t count = type.fields.size();
    for (size_t i = 0; i < count; ++i) {
      const size_t at = hint + i < count ? hint + i : hint + i - count;
      if (type.fields[at].name == key) {
        hint = at + 1 < count ? at + 1 : 0;
        return &type.fields[at];
      }
    }
    return nullptr;
  }

  static std::string print(const Step* step) {
    if (!step) return {};
    std::string out = print(step->up);
    if (step->key.data() == nullptr) return out + "[" + std::to_string(step->index) + "]";
    if (!out.empty()) out += '.';
    return out += step->key;
  }

  static std::string go_type(const Field& field, bool element) {
    std::string out;
    switch (field.kind) {
      case Kind::string: out = "string"; break;
      case Kind::boolean: out = "bool"; break;
      case Kind::int32: out = "int32"; break;
      case Kind::int64: out = "int64"; break;
      case Kind::number: out = "float64"; break;
      case Kind::bytes: out = "[]uint8"; break;
      case Kind::object: out = "map[string]interface {}"; break;
      case Kind::any: out = "interface {}"; break;
      case Kind::message:
      case Kind::special:
        out = (field.type->package->version.empty() ? "" : std::string(field.type->package->version) + ".") + std::string(field.type->name);
    }
    if (element || field.shape == Shape::single) return out;
    if (field.shape == Shape::list) return "[]" + out;
    return field.shape == Shape::map ? "map[string]" + out : "map[string][]" + out;
  }

  static std::string_view go_value(const Node& node) {
    switch (node.type()) {
      case json::Type::boolean: return "bool";
      default: return json::to_string(node.type());
    }
  }

  std::unexpected<Error> wrong(const Node& node, const Type& type, const Step* path, std::string_view expected) {
    std::string message = "json: cannot unmarshal ";
    message += go_value(node);
    if (node.is_number()) message += " " + std::string(node.number_text());
    message += " into Go struct field " + std::string(type.name) + "." + print(path) + " of type " + std::string(expected);
    return fail(Code::malformed, std::move(message));
  }

  std::unexpected<Error> bad(const Step* path, std::string what) { return fail(Code::malformed, print(path) + ": " + std::move(what)); }

  // What Go's `omitempty` leaves out. Messages stay: an empty one (emptyDir: {}) means something.
  static bool empty(const Node& node, const Field& field) {
    if (field.required) return false;
    if (field.shape != Shape::single) return node.empty();
    if (field.pointer) return false;
    switch (field.kind) {
      case Kind::string:
      case Kind::bytes: return node.as_string().empty();
      case Kind::boolean: return !node.as_bool();
      case Kind::int32:
      case Kind::int64: return node.as_int() == 0;
      default: return false;
    }
  }

  Result<void> value(Node& node, const Field& field, const Type& type, const Step* path) {
    switch (field.shape) {
      case Shape::single: return one(node, field, type, path, false);
      case Shape::list: return list(node, field, type, path);
      case Shape::map:
      case Shape::map_of_lists: break;
    }
    if (!node.is_object()) return wrong(node, type, path, go_type(field, false));
    for (Node& member : node) {
      const Step step{path, member.key()};
      if (member.is_null()) zero(member, field);
      else if (field.shape == Shape::map) TRY(one(member, field, type, &step, true));
      else TRY(list(member, field, type, &step));
    }
    return {};
  }

  Result<void> list(Node& node, const Field& field, const Type& type, const Step* path) {
    if (!node.is_array()) return wrong(node, type, path, go_type(field, false));
    uint32_t i = 0;
    for (Node& element : node) {
      const Step step{path, {}, i++};
      if (element.is_null()) zero(element, field);
      else TRY(one(element, field, type, &step, true));
    }
    return {};
  }

  // null in a list or map is Go's zero value.
  void zero(Node& node, const Field& field) {
    switch (field.kind) {
      case Kind::string:
      case Kind::bytes: document_.assign(node, document_.make_string("")); break;
      case Kind::boolean: document_.assign(node, document_.make_bool(false)); break;
      case Kind::int32:
      case Kind::int64:
      case Kind::number: document_.assign(node, document_.make_int(0)); break;
      case Kind::message: document_.assign(node, document_.make_object()); break;
      case Kind::special:
        if (field.type->form == Form::quantity) document_.assign(node, document_.make_string("0"));
        break;
      case Kind::object:
      case Kind::any: break;
    }
  }

  Result<void> one(Node& node, const Field& field, const Type& type, const Step* path, bool element) {
    const auto mismatch = [&] { return wrong(node, type, path, go_type(field, element)); };
    switch (field.kind) {
      case Kind::string:
        if (!node.is_string()) return mismatch();
        return {};
      case Kind::boolean:
        if (!node.is_bool()) return mismatch();
        return {};
      case Kind::int32:
      case Kind::int64: {
        const auto number = node.as_int();
        if (!number || (field.kind == Kind::int32 && *number != int32_t(*number))) return mismatch();
        return {};
      }
      case Kind::number:
        if (!node.as_double()) return mismatch();
        return {};
      case Kind::bytes:
        if (!node.is_string()) return mismatch();
        if (auto decoded = base64_decode(node.as_string()); !decoded) return bad(path, decoded.error().message);
        return {};
      case Kind::object:
        if (!node.is_object()) return mismatch();
        return {};
      case Kind::any: return {};
      case Kind::message:
        if (!node.is_object()) return mismatch();
        return message(node, *field.type, path);
      case Kind::special: return special(node, field, type, path, element);
    }
    return {};
  }

  Result<void> special(Node& node, const Field& field, const Type& type, const Step* path, bool element) {
    switch (field.type->form) {
      case Form::quantity: return quantity(node, field, type, path, element);
      case Form::time:
      case Form::micro_time: return time(node, field, type, path, element);
      case Form::int_or_string:
        if (node.is_string()) return {};
        if (const auto number = node.as_int(); number && *number == int32_t(*number)) return {};
        return wrong(node, type, path, "intstr.IntOrString");
      case Form::raw_extension:
      case Form::fields:
        if (!node.is_object()) return wrong(node, type, path, go_type(field, element));
        return {};
      default: return {};
    }
  }

  Result<void> quantity(Node& node, const Field& field, const Type& type, const Step* path, bool element) {
    if (!node.is_string() && !node.is_number()) return wrong(node, type, path, go_type(field, element));
    const std::string_view text = node.is_string() ? node.as_string() : node.number_text();
    const auto parsed = Quantity::parse(text);
    if (!parsed) return bad(path, parsed.error().message);
    const std::string canonical = parsed->print();
    if (!node.is_string() || canonical != text) document_.assign(node, document_.make_string(canonical));
    return {};
  }

  Result<void> time(Node& node, const Field& field, const Type& type, const Step* path, bool element) {
    if (!node.is_string()) return wrong(node, type, path, go_type(field, element));
    const std::string_view text = node.as_string();
    const auto parsed = parse_timestamp(text);
    if (!parsed) return bad(path, "parsing time " + quoted(text) + " as \"2006-01-02T15:04:05Z07:00\": " + parsed.error().message);
    const std::string canonical = field.type->form == Form::time ? format_rfc3339(*parsed) : format_rfc3339_micro(*parsed);
    if (canonical != text) document_.assign(node, document_.make_string(canonical));
    return {};
  }

  Document& document_;
  std::vector<std::string>& unknown_;
};

}  // namespace

Result<std::vector<std::string>> conform(Document& document, Node& object, const Type& type) {
  std::vector<std::string> unknown;
  if (!object.is_object())
    return fail(Code::malformed, "json: cannot unmarshal " + std::string(json::to_string(object.type())) + " into Go value of type " +
                                     std::string(type.package->version) + "." + std::string(type.name));
  if (const Structural* structural = structural_of(type)) {
    // The types of values are left to the checks, as Kubernetes does for custom kinds.
    TRY(coerce_metadata(document, object, structural, type.kind, false, &unknown));
    std::vector<std::string> pruned;
    prune(document, object, *structural, type.kind, &pruned);
    unknown.insert(unknown.end(), pruned.begin(), pruned.end());
    return unknown;
  }
  TRY(Conform(document, unknown).message(object, type, nullptr));
  return unknown;
}

}  // namespace estiba::model
