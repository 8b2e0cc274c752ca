// Values at run time. A value is small and copied freely; what it points to lives in JSON documents (read where they lie,
// never copied), in the program's constants or in the evaluation's memory.
//
// Lists and maps that expressions make share their buffers: a list is a prefix of a buffer, and adding to the newest prefix
// writes behind it. So a comprehension that collects n items takes n steps.
#pragma once
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "cel/decl_type.h"
#include "cel/type.h"
#include "model/json.h"

namespace estiba::cel {

class Memory;
class Value;

enum class Kind : uint8_t {
  error,
  null,
  boolean,
  integer,
  uinteger,
  real,
  string,
  bytes,
  duration,
  timestamp,
  list,
  map,
  type,
  optional,
  object
};

struct Timestamp {
  int64_t seconds = 0;  ///< since 1970, UTC
  int32_t nanos = 0;    ///< 0 … 999,999,999
  int32_t offset = 0;   ///< seconds east of UTC, as it was written; only texts show it

  std::strong_ordering operator<=>(const Timestamp& other) const {
    return seconds != other.seconds ? seconds <=> other.seconds : nanos <=> other.nanos;
  }
  bool operator==(const Timestamp& other) const { return seconds == other.seconds && nanos == other.nanos; }
};

/// A value that only its own functions understand.
struct Object {
  enum class Is : uint8_t {
    url,
    ip,
    cidr,
    quantity,
    semver,
    format,
    authorizer,
    path_check,
    group_check,
    resource_check,
    decision,
    message,
    lazy
  };
  Is is;
};

/// An object whose fields are computed when they are asked for (the variables of a policy).
class LazyFields {
 public:
  virtual ~LazyFields() = default;
  /// nullopt: there is no such field.
  virtual std::optional<Value> field(std::string_view name, Memory& memory) = 0;
};

struct ListBuffer {
  Value* items = nullptr;
  uint32_t used = 0, capacity = 0;
};

struct MapBuffer {
  Value* keys = nullptr;
  Value* values = nullptr;
  uint32_t used = 0, capacity = 0;
  uint32_t* slots = nullptr;  ///< open addressing: entry + 1, or 0
  uint32_t slot_count = 0;
  const Value* otherwise = nullptr;  ///< what a key that it does not have reads as; null: an error
};

class Value {
 public:
  Value() = default;  // null
  static Value null() { return {}; }
  static Value boolean(bool value) {
    return make(Kind::boolean, [&](Value& v) { v.flag_ = value; });
  }
  static Value integer(int64_t value) {
    return make(Kind::integer, [&](Value& v) { v.integer_ = value; });
  }
  static Value uinteger(uint64_t value) {
    return make(Kind::uinteger, [&](Value& v) { v.uinteger_ = value; });
  }
  static Value real(double value) {
    return make(Kind::real, [&](Value& v) { v.real_ = value; });
  }
  /// The text must outlive the value.
  static Value string(std::string_view text) { return text_of(Kind::string, text); }
  static Value bytes(std::string_view text) { return text_of(Kind::bytes, text); }
  static Value duration(int64_t nanos) {
    return make(Kind::duration, [&](Value& v) { v.integer_ = nanos; });
  }
  static Value timestamp(Timestamp time) {
    return make(Kind::timestamp, [&](Value& v) { v.integer_ = time.seconds, v.size_ = uint32_t(time.nanos), v.offset_ = time.offset; });
  }
  static Value type(const Type* type) {
    return make(Kind::type, [&](Value& v) { v.type_ = type; });
  }
  static Value none() {
    return make(Kind::optional, [](Value& v) { v.inner_ = nullptr; });
  }
  static Value optional(const Value* inner) {
    return make(Kind::optional, [&](Value& v) { v.inner_ = inner; });
  }
  static Value object(const Object* object, const Type* type) {
    return make(Kind::object, [&](Value& v) { v.object_ = object, v.extra_ = type; });
  }
  static Value lazy(LazyFields* fields, const Type* type) {
    return make(Kind::object, [&](Value& v) { v.lazy_ = fields, v.extra_ = type, v.form_ = Form::lazy; });
  }
  static Value list(ListBuffer* buffer, uint32_t size) {
    return make(Kind::list, [&](Value& v) { v.list_ = buffer, v.size_ = size; });
  }
  static Value map(MapBuffer* buffer, uint32_t size) {
    return make(Kind::map, [&](Value& v) { v.map_ = buffer, v.size_ = size; });
  }
  /// An error with a text that outlives it. A fatal one ends the evaluation, whatever stands around it.
  static Value error(std::string_view text, bool fatal = false) {
    Value value = text_of(Kind::error, text);
    value.form_ = fatal ? Form::fatal : Form::plain;
    return value;
  }
  /// The value of a JSON node, read as `decl` says; without one by what it is.
  static Value json(const json::Node& node, const DeclType* decl = nullptr);

  Kind kind() const { return kind_; }
  bool is(Kind kind) const { return kind_ == kind; }
  bool is_error() const { return kind_ == Kind::error; }
  bool is_fatal() const { return form_ == Form::fatal; }
  bool is_true() const { return kind_ == Kind::boolean && flag_; }
  bool is_false() const { return kind_ == Kind::boolean && !flag_; }
  bool is_number() const { return kind_ == Kind::integer || kind_ == Kind::uinteger || kind_ == Kind::real; }

  bool as_bool() const { return flag_; }
  int64_t as_int() const { return integer_; }
  uint64_t as_uint() const { return uinteger_; }
  double as_double() const { return real_; }
  std::string_view text() const { return {text_, size_}; }  ///< of strings, bytes and errors
  int64_t nanos() const { return integer_; }                ///< of a duration
  Timestamp time() const { return {integer_, int32_t(size_), int32_t(offset_)}; }
  const Type* as_type() const { return type_; }
  const Value* inner() const { return inner_; }  ///< of an optional; null for none
  const Object* as_object() const { return form_ == Form::lazy ? nullptr : object_; }
  LazyFields* as_lazy() const { return form_ == Form::lazy ? lazy_ : nullptr; }
  const Type* object_type() const { return static_cast<const Type*>(extra_); }
  bool is_object(Object::Is is) const { return kind_ == Kind::object && form_ == Form::plain && object_->is == is; }

  // Lists and maps.
  bool is_json() const { return form_ == Form::json; }
  const json::Node& node() const { return *node_; }
  const DeclType* decl() const { return form_ == Form::json ? static_cast<const DeclType*>(extra_) : nullptr; }
  ListBuffer* list_buffer() const { return list_; }
  MapBuffer* map_buffer() const { return map_; }
  uint32_t count() const { return size_; }

 private:
  enum class Form : uint8_t { plain, json, lazy, fatal };
  template <class Set>
  static Value make(Kind kind, Set set) {
    Value value;
    value.kind_ = kind;
    set(value);
    return value;
  }
  static Value text_of(Kind kind, std::string_view text) {
    return make(kind, [&](Value& v) { v.text_ = text.data(), v.size_ = uint32_t(text.size()); });
  }
  static Value read_string(const json::Node& node, DeclForm form);

  Kind kind_ = Kind::null;
  Form form_ = Form::plain;
  uint32_t size_ = 0;
  union {
    bool flag_;
    int64_t integer_;
    uint64_t uinteger_;
    double real_;
    const char* text_;
    const Type* type_;
    const Value* inner_;
    const Object* object_;
    LazyFields* lazy_;
    ListBuffer* list_;
    MapBuffer* map_;
    const json::Node* node_ = nullptr;
  };
  union {
    const void* extra_ = nullptr;
    int64_t offset_;
  };
};

/// The type's name as `type(x)` and messages give it.
std::string_view type_name(const Value& value);
/// What `type(x)` is.
const Type* type_of(const Value& value);

/// A message's field values: JSONPatch{…} and Object{…}.
struct Message : Object {
  const Type* type;
  std::span<const std::string_view> names;
  std::span<const Value> values;

  const Value* find(std::string_view name) const {
    for (size_t i = 0; i < names.size(); i++)
      if (names[i] == name) return &values[i];
    return nullptr;
  }
};

}  // namespace estiba::cel
