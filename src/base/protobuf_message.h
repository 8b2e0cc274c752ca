// Protocol-buffer messages as C++ structs with a table of their fields, by which they are read and written:
//
//   struct PodIP {
//     std::string ip;
//     static constexpr auto fields() { using M = PodIP; return table(field(1, &M::ip)); }
//   };
//
// A field is a string, bool, number or enumeration, a message, a map of strings, a vector of those, or an optional scalar, which is a
// message that wraps it in field 1 (Int64Value, PodSandboxStateValue). As in proto3, what is zero or empty is not written; a message
// without content counts as empty. Unknown fields are skipped.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <vector>

#include "base/protobuf_wire.h"

namespace estiba::protobuf {

using Labels = std::map<std::string, std::string>;

template <class M, class T>
struct Field {
  uint32_t number;
  T M::* at;
};
template <class M, class T>
constexpr Field<M, T> field(uint32_t number, T M::* at) {
  return {number, at};
}
template <class... F>
constexpr std::tuple<F...> table(F... fields) {
  return {fields...};
}

template <class M>
concept Message = requires { M::fields(); };
template <class T>
concept Scalar = std::is_integral_v<T> || std::is_enum_v<T>;

template <Message M>
void encode(std::string& out, const M& message);
template <Message M>
std::string encode(const M& message) {
  std::string out;
  encode(out, message);
  return out;
}
/// False when the bytes are no such message.
template <Message M>
bool decode(std::string_view bytes, M& out);

namespace message_detail {

inline void put(std::string& out, uint32_t number, const std::string& value) {
  if (!value.empty()) wire::put_bytes(out, number, value);
}
template <Scalar T>
void put(std::string& out, uint32_t number, T value) {
  if (value != T{}) wire::put_int(out, number, int64_t(value));
}
template <Message M>
void put(std::string& out, uint32_t number, const M& value) {
  if (std::string inner = encode(value); !inner.empty()) wire::put_bytes(out, number, inner);
}
template <Scalar T>
void put(std::string& out, uint32_t number, const std::optional<T>& value) {
  if (!value) return;
  std::string inner;
  put(inner, 1, *value);
  wire::put_bytes(out, number, inner);
}
template <Message M>
void put(std::string& out, uint32_t number, const std::optional<M>& value) {
  if (value) wire::put_bytes(out, number, encode(*value));
}
inline void put(std::string& out, uint32_t number, const Labels& map) {
  for (const auto& [key, value] : map) {
    std::string entry;
    put(entry, 1, key);
    put(entry, 2, value);
    wire::put_bytes(out, number, entry);
  }
}
template <class T>
void put(std::string& out, uint32_t number, const std::vector<T>& list) {
  if constexpr (Scalar<T>) {
    std::string packed;
    for (T item : list) wire::put_varint(packed, uint64_t(int64_t(item)));
    put(out, number, packed);
  } else {
    for (const T& item : list) {
      if constexpr (Message<T>) wire::put_bytes(out, number, encode(item));
      else wire::put_bytes(out, number, item);
    }
  }
}

inline bool take(const wire::Field& field, std::string& out) {
  out = field.bytes;
  return field.type == wire::Type::bytes;
}
template <Scalar T>
bool take(const wire::Field& field, T& out) {
  out = T(field.integer);
  return field.type == wire::Type::varint;
}
template <Message M>
bool take(const wire::Field& field, M& out) {
  return field.type == wire::Type::bytes && decode(field.bytes, out);
}
/// The fields 1 and 2 of an inner message: a wrapped scalar, or an entry of a map.
template <class A, class B>
bool take_pair(std::string_view bytes, A& first, B& second) {
  wire::Reader reader(bytes);
  while (!reader.done()) {
    auto field = reader.next();
    if (!field) return false;
    if (field->number == 1 && !take(*field, first)) return false;
    if (field->number == 2 && !take(*field, second)) return false;
  }
  return true;
}
template <Scalar T>
bool take(const wire::Field& field, std::optional<T>& out) {
  int64_t unused = 0;
  return field.type == wire::Type::bytes && take_pair(field.bytes, out.emplace(), unused);
}
template <Message M>
bool take(const wire::Field& field, std::optional<M>& out) {
  return take(field, out.emplace());
}
inline bool take(const wire::Field& field, Labels& out) {
  std::string key, value;
  if (field.type != wire::Type::bytes || !take_pair(field.bytes, key, value)) return false;
  out[std::move(key)] = std::move(value);
  return true;
}
template <class T>
bool take(const wire::Field& field, std::vector<T>& out) {
  if constexpr (Scalar<T>) {
    if (field.type == wire::Type::bytes) {
      wire::Reader packed(field.bytes);
      while (!packed.done()) {
        auto value = packed.varint();
        if (!value) return false;
        out.push_back(T(*value));
      }
      return true;
    }
  }
  return take(field, out.emplace_back());
}

}  // namespace message_detail

template <Message M>
void encode(std::string& out, const M& message) {
  std::apply([&](const auto&... row) { (message_detail::put(out, row.number, message.*row.at), ...); }, M::fields());
}

template <Message M>
bool decode(std::string_view bytes, M& out) {
  wire::Reader reader(bytes);
  while (!reader.done()) {
    const auto field = reader.next();
    if (!field) return false;
    bool good = true;
    std::apply(
        [&](const auto&... row) {
          (void)((row.number == field->number && (good = message_detail::take(*field, out.*row.at), true)) || ...);
        },
        M::fields());
    if (!good) return false;
  }
  return true;
}

}  // namespace estiba::protobuf
