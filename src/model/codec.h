// JSON to and from the typed structs of model/types/*.h. A generated constant table per struct says where each field lies
// and of which C++ kind it is; decode and encode are one loop over it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/json.h"
#include "model/opt.h"
#include "model/schema.h"

namespace estiba::model::codec {

/// The C++ type of a field.
enum class Cpp : uint8_t {
  string,           ///< std::string; also times and quantities
  optional_string,  ///< std::optional<std::string>
  boolean,          ///< bool
  optional_boolean,
  int32,
  optional_int32,
  int64,
  optional_int64,
  number,  ///< double
  optional_number,
  bytes,  ///< std::string, base64 in JSON
  raw,    ///< std::string holding JSON
  int_or_string,
  message,  ///< the struct itself
  boxed,    ///< Opt<struct>
  strings,  ///< std::vector<std::string>
  int32s,
  int64s,
  booleans,
  messages,          ///< std::vector<struct>
  string_map,        ///< std::map<std::string, std::string>
  bytes_map,         ///< the same, base64 in JSON
  string_lists_map,  ///< std::map<std::string, std::vector<std::string>>
};

struct Struct;

/// What generic code must be able to do with a struct it does not know.
struct Operations {
  void* (*make)();
  void (*destroy)(void*);
  /// To a std::vector of it, which will have so many elements in all: it has no room for more. Returns the new element.
  void* (*append)(void* vector, size_t expected);
  size_t (*count)(const void* vector);
  const void* (*element)(const void* vector, size_t i);
};

struct Slot {
  const schema::Field* field;
  const Struct* nested;  ///< for message, boxed and messages
  uint32_t offset;
  Cpp cpp;
};

struct Struct {
  const schema::Type* type;
  std::span<const Slot> slots;
  Operations operations;
};

template <class T>
inline constexpr Operations operations_of{
    []() -> void* { return new T(); },
    [](void* value) { delete static_cast<T*>(value); },
    [](void* vector, size_t expected) -> void* {
      auto& list = *static_cast<std::vector<T>*>(vector);
      if (list.empty()) list.reserve(expected);
      return &list.emplace_back();
    },
    [](const void* vector) { return static_cast<const std::vector<T>*>(vector)->size(); },
    [](const void* vector, size_t i) -> const void* { return static_cast<const std::vector<T>*>(vector)->data() + i; },
};

/// Fills the struct at `out`. A value of the wrong type is an error that names its path; with `lenient` it is left out.
Result<void> decode_into(const Struct& layout, void* out, const json::Node& node, bool lenient);
/// Appends the struct as a JSON object; kinds begin with apiVersion and kind.
void encode_to(std::string& out, const Struct& layout, const void* value);

}  // namespace estiba::model::codec

namespace estiba::model {

/// Unknown fields are skipped (check.h finds them).
template <class T>
Result<T> decode(const json::Node& node) {
  T out;
  TRY(codec::decode_into(T::layout_, &out, node, false));
  return out;
}

template <class T>
Result<T> decode(std::string_view text) {
  const json::Document document = TRY(json::Document::parse(text));
  return decode<T>(document.root());
}

/// Absent and empty fields are left out, required ones are not.
template <class T>
std::string encode(const T& value) {
  std::string out;
  codec::encode_to(out, T::layout_, &value);
  return out;
}

/// Whether both say the same to the API: absent and empty are equal.
template <class T>
bool same(const T& a, const T& b) {
  return encode(a) == encode(b);
}

}  // namespace estiba::model
