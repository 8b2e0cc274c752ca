#include "model/codec.h"

#include <charconv>
#include <optional>

#include "base/strings.h"
#include "model/int_or_string.h"

namespace estiba::model::codec {

using json::Node;

template <class T>
static T& as(void* at) {
  return *static_cast<T*>(at);
}
template <class T>
static const T& as(const void* at) {
  return *static_cast<const T*>(at);
}

// ---- decoding

namespace {

class Decoder {
 public:
  explicit Decoder(bool lenient) : lenient_(lenient) {}

  bool message(const Struct& layout, void* out, const Node& node) {
    if (!node.is_object()) return wrong(node, "an object");
    size_t hint = 0;
    for (const Node& member : node) {
      const Slot* slot = find(layout, member.key(), hint);
      if (!slot || member.is_null()) continue;
      if (!field(*slot, static_cast<char*>(out) + slot->offset, member) && !lenient_) return within("." + std::string(member.key()));
    }
    return true;
  }

  std::string path, what;

 private:
  // Members come mostly in the table's order or sorted by name: go on behind the last one found.
  static const Slot* find(const Struct& layout, std::string_view key, size_t& hint) {
    const size_t count = layout.slots.size();
    for (size_t i = 0; i < count; ++i) {
      const size_t at = hint + i < count ? hint + i : hint + i - count;
      if (layout.slots[at].field->name == key) {
        hint = at + 1 < count ? at + 1 : 0;
        return &layout.slots[at];
      }
    }
    return nullptr;
  }

  bool within(std::string step) {
    path.insert(0, step);
    return false;
  }

  bool wrong(const Node& node, std::string_view expected) {
    what = "expected ";
    what += expected;
    what += ", got ";
    what += json::to_string(node.type());
    path.clear();
    return false;
  }

  // Strings, and numbers where a quantity may be one.
  bool text(const Slot& slot, std::string& out, const Node& node) {
    const bool quantity = slot.field->kind == schema::Kind::special && slot.field->type->form == schema::Form::quantity;
    if (quantity && node.is_number()) out = node.number_text();
    else if (node.is_string()) out = node.as_string();
    else return wrong(node, "a string");
    return true;
  }

  template <class T>
  bool integer(T& out, const Node& node) {
    const auto value = node.as_int();
    if (!value || *value != T(*value)) return wrong(node, sizeof(T) == 4 ? "a 32-bit integer" : "an integer");
    out = T(*value);
    return true;
  }

  bool boolean(bool& out, const Node& node) {
    if (!node.is_bool()) return wrong(node, "a boolean");
    out = node.as_bool();
    return true;
  }

  bool number(double& out, const Node& node) {
    const auto value = node.as_double();
    if (!value) return wrong(node, "a number");
    out = *value;
    return true;
  }

  bool bytes(std::string& out, const Node& node) {
    if (!node.is_string()) return wrong(node, "a string");
    auto decoded = base64_decode(node.as_string());
    if (!decoded) return wrong(node, "base64");
    out = std::move(*decoded);
    return true;
  }

  template <class T, class Each>
  bool optional(std::optional<T>& out, Each each) {
    T value{};
    if (!each(value)) return false;
    out = std::move(value);
    return true;
  }

  template <class Each>
  bool list(const Node& node, Each each) {
    if (!node.is_array()) return wrong(node, "an array");
    size_t i = 0;
    for (const Node& element : node) {
      if (!each(element) && !lenient_) return within("[" + std::to_string(i) + "]");
      ++i;
    }
    return true;
  }

  template <class T, class Each>
  bool numbers(std::vector<T>& out, const Node& node, Each each) {
    out.clear();
    return list(node, [&](const Node& element) {
      T value{};
      if (!each(value, element)) return false;
      out.push_back(value);
      return true;
    });
  }

  bool strings(const Slot& slot, std::vector<std::string>& out, const Node& node) {
    out.clear();
    if (node.is_array()) out.reserve(node.size());
    return list(node, [&](const Node& element) { return text(slot, out.emplace_back(), element); });
  }

  template <class T, class Each>
  bool map(std::map<std::string, T>& out, const Node& node, Each each) {
    if (!node.is_object()) return wrong(node, "an object");
    out.clear();
    for (const Node& member : node) {
      if (each(out[std::string(member.key())], member) || lenient_) continue;
      return within("[" + std::string(member.key()) + "]");
    }
    return true;
  }

  bool field(const Slot& slot, void* at, const Node& node) {
    switch (slot.cpp) {
      case Cpp::string: return text(slot, as<std::string>(at), node);
      case Cpp::optional_string: return optional(as<std::optional<std::string>>(at), [&](std::string& v) { return text(slot, v, node); });
      case Cpp::boolean: return boolean(as<bool>(at), node);
      case Cpp::optional_boolean: return optional(as<std::optional<bool>>(at), [&](bool& v) { return boolean(v, node); });
      case Cpp::int32: return integer(as<int32_t>(at), node);
      case Cpp::optional_int32: return optional(as<std::optional<int32_t>>(at), [&](int32_t& v) { return integer(v, node); });
      case Cpp::int64: return integer(as<int64_t>(at), node);
      case Cpp::optional_int64: return optional(as<std::optional<int64_t>>(at), [&](int64_t& v) { return integer(v, node); });
      case Cpp::number: return number(as<double>(at), node);
      case Cpp::optional_number: return optional(as<std::optional<double>>(at), [&](double& v) { return number(v, node); });
      case Cpp::bytes: return bytes(as<std::string>(at), node);
      case Cpp::raw: as<std::string>(at) = json::print(node); return true;
      case Cpp::int_or_string: return int_or_string(as<IntOrString>(at), node);
      case Cpp::message: return message(*slot.nested, at, node);
      case Cpp::boxed: return boxed(slot, as<OptBase>(at), node);
      case Cpp::strings: return strings(slot, as<std::vector<std::string>>(at), node);
      case Cpp::int32s: return numbers(as<std::vector<int32_t>>(at), node, [&](int32_t& v, const Node& n) { return integer(v, n); });
      case Cpp::int64s: return numbers(as<std::vector<int64_t>>(at), node, [&](int64_t& v, const Node& n) { return integer(v, n); });
      case Cpp::booleans: return numbers(as<std::vector<bool>>(at), node, [&](bool& v, const Node& n) { return boolean(v, n); });
      case Cpp::messages:
        return list(node, [&](const Node& n) { return message(*slot.nested, slot.nested->operations.append(at, node.size()), n); });
      case Cpp::string_map:
        return map(as<std::map<std::string, std::string>>(at), node, [&](std::string& v, const Node& n) { return text(slot, v, n); });
      case Cpp::bytes_map:
        return map(as<std::map<std::string, std::string>>(at), node, [&](std::string& v, const Node& n) { return bytes(v, n); });
      case Cpp::string_lists_map:
        return map(as<std::map<std::string, std::vector<std::string>>>(at), node,
                   [&](std::vector<std::string>& v, const Node& n) { return strings(slot, v, n); });
    }
    return false;
  }

  bool int_or_string(IntOrString& out, const Node& node) {
    auto value = IntOrString::from(node);
    if (!value) return wrong(node, "a 32-bit integer or a string");
    out = std::move(*value);
    return true;
  }

  bool boxed(const Slot& slot, OptBase& out, const Node& node) {
    if (!out.value) out.value = slot.nested->operations.make();
    return message(*slot.nested, out.value, node);
  }

  bool lenient_;
};

}  // namespace

Result<void> decode_into(const Struct& layout, void* out, const Node& node, bool lenient) {
  Decoder decoder(lenient);
  if (decoder.message(layout, out, node) || lenient) return {};
  std::string message(layout.type->name);
  message += decoder.path + ": " + decoder.what;
  return fail(Code::malformed, std::move(message));
}

// ---- encoding

namespace {

class Encoder {
 public:
  explicit Encoder(std::string& out) : out_(out) {}

  void message(const Struct& layout, const void* value) {
    out_ += '{';
    if (layout.type->kind && !layout.type->everywhere) {
      out_ += "\"apiVersion\":";
      json::append_string(out_, schema::join_api_version(layout.type->package->group, layout.type->package->version));
      out_ += ",\"kind\":";
      json::append_string(out_, layout.type->name);
    }
    for (const Slot& slot : layout.slots) {
      const void* at = static_cast<const char*>(value) + slot.offset;
      if (slot.field->required || !empty(slot, at)) {
        key(slot.field->name);
        field(slot, at);
      }
    }
    out_ += '}';
  }

 private:
  void key(std::string_view name) {
    if (out_.back() != '{') out_ += ',';
    json::append_string(out_, name);
    out_ += ':';
  }

  static bool zero(const Struct& layout, const void* value) {
    for (const Slot& slot : layout.slots)
      if (!empty(slot, static_cast<const char*>(value) + slot.offset)) return false;
    return true;
  }

  static bool empty(const Slot& slot, const void* at) {
    switch (slot.cpp) {
      case Cpp::string:
      case Cpp::bytes:
      case Cpp::raw: return as<std::string>(at).empty();
      case Cpp::optional_string: return !as<std::optional<std::string>>(at);
      case Cpp::boolean: return !as<bool>(at);
      case Cpp::optional_boolean: return !as<std::optional<bool>>(at);
      case Cpp::int32: return as<int32_t>(at) == 0;
      case Cpp::optional_int32: return !as<std::optional<int32_t>>(at);
      case Cpp::int64: return as<int64_t>(at) == 0;
      case Cpp::optional_int64: return !as<std::optional<int64_t>>(at);
      case Cpp::number: return as<double>(at) == 0;
      case Cpp::optional_number: return !as<std::optional<double>>(at);
      case Cpp::int_or_string: return !as<IntOrString>(at);
      case Cpp::message: return zero(*slot.nested, at);
      case Cpp::boxed: return !as<OptBase>(at).value;
      case Cpp::strings: return as<std::vector<std::string>>(at).empty();
      case Cpp::int32s: return as<std::vector<int32_t>>(at).empty();
      case Cpp::int64s: return as<std::vector<int64_t>>(at).empty();
      case Cpp::booleans: return as<std::vector<bool>>(at).empty();
      case Cpp::messages: return slot.nested->operations.count(at) == 0;
      case Cpp::string_map:
      case Cpp::bytes_map: return as<std::map<std::string, std::string>>(at).empty();
      case Cpp::string_lists_map: return as<std::map<std::string, std::vector<std::string>>>(at).empty();
    }
    return true;
  }

  void boolean(bool value) { out_ += value ? "true" : "false"; }

  void integer(int64_t value) {
    char text[24];
    const auto [end, _] = std::to_chars(text, text + sizeof text, value);
    out_.append(text, end);
  }

  void number(double value) {
    json::Document document;
    out_ += document.make_double(value).number_text();
  }

  void string(std::string_view value) { json::append_string(out_, value); }

  template <class List, class Each>
  void list(const List& values, Each each) {
    out_ += '[';
    bool first = true;
    for (const auto& value : values) {
      if (!first) out_ += ',';
      first = false;
      each(value);
    }
    out_ += ']';
  }

  template <class Map, class Each>
  void map(const Map& values, Each each) {
    out_ += '{';
    for (const auto& [name, value] : values) {
      key(name);
      each(value);
    }
    out_ += '}';
  }

  void strings(const std::vector<std::string>& values) {
    list(values, [&](const std::string& v) { string(v); });
  }

  void messages(const Slot& slot, const void* at) {
    const Operations& operations = slot.nested->operations;
    out_ += '[';
    for (size_t i = 0, count = operations.count(at); i < count; ++i) {
      if (i) out_ += ',';
      message(*slot.nested, operations.element(at, i));
    }
    out_ += ']';
  }

  void field(const Slot& slot, const void* at) {
    switch (slot.cpp) {
      case Cpp::string: return string(as<std::string>(at));
      case Cpp::optional_string: return string(as<std::optional<std::string>>(at).value_or(""));
      case Cpp::boolean: return boolean(as<bool>(at));
      case Cpp::optional_boolean: return boolean(as<std::optional<bool>>(at).value_or(false));
      case Cpp::int32: return integer(as<int32_t>(at));
      case Cpp::optional_int32: return integer(as<std::optional<int32_t>>(at).value_or(0));
      case Cpp::int64: return integer(as<int64_t>(at));
      case Cpp::optional_int64: return integer(as<std::optional<int64_t>>(at).value_or(0));
      case Cpp::number: return number(as<double>(at));
      case Cpp::optional_number: return number(as<std::optional<double>>(at).value_or(0));
      case Cpp::bytes: return string(base64_encode(as<std::string>(at)));
      case Cpp::raw: out_ += as<std::string>(at).empty() ? "null" : as<std::string>(at); return;
      case Cpp::int_or_string: out_ += as<IntOrString>(at).print(); return;
      case Cpp::message: return message(*slot.nested, at);
      case Cpp::boxed: return message(*slot.nested, as<OptBase>(at).value);
      case Cpp::strings: return strings(as<std::vector<std::string>>(at));
      case Cpp::int32s: return list(as<std::vector<int32_t>>(at), [&](int32_t v) { integer(v); });
      case Cpp::int64s: return list(as<std::vector<int64_t>>(at), [&](int64_t v) { integer(v); });
      case Cpp::booleans: return list(as<std::vector<bool>>(at), [&](bool v) { boolean(v); });
      case Cpp::messages: return messages(slot, at);
      case Cpp::string_map: return map(as<std::map<std::string, std::string>>(at), [&](const std::string& v) { string(v); });
      case Cpp::bytes_map: return map(as<std::map<std::string, std::string>>(at), [&](const std::string& v) { string(base64_encode(v)); });
      case Cpp::string_lists_map:
        return map(as<std::map<std::string, std::vector<std::string>>>(at), [&](const std::vector<std::string>& v) { strings(v); });
    }
  }

  std::string& out_;
};

}  // namespace

void encode_to(std::string& out, const Struct& layout, const void* value) { Encoder(out).message(layout, value); }

}  // namespace estiba::model::codec
