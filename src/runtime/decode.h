// Reading members of JSON objects into C++ values, with errors that name the field. A missing or null member leaves the
// value as it is.
#pragma once
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/result.h"
#include "base/strings.h"
#include "model/json.h"

namespace estiba::runtime {

inline std::unexpected<Error> field_error(const std::string& field, std::string_view what) {
  return fail(Code::invalid, field + ": " + std::string(what));
}

inline Result<void> decode(const json::Node& node, const std::string& field, std::string& out) {
  if (!node.is_string()) return field_error(field, "must be a string");
  if (node.as_string().find('\0') != std::string_view::npos) return field_error(field, "must not have a NUL byte");
  out = node.as_string();
  return {};
}

inline Result<void> decode(const json::Node& node, const std::string& field, bool& out) {
  if (!node.is_bool()) return field_error(field, "must be true or false");
  out = node.as_bool();
  return {};
}

template <class N>
  requires(std::is_integral_v<N> && !std::is_same_v<N, bool>)
Result<void> decode(const json::Node& node, const std::string& field, N& out) {
  auto value = node.is_number() ? parse_number<N>(node.number_text()) : std::nullopt;
  if (!value && node.is_number()) {
    // "1e3" and "2.0" are integers too.
    auto wide = node.as_int();
    if (wide && std::in_range<N>(*wide)) value = N(*wide);
  }
  if (!value) {
    return field_error(field, "must be an integer from " + std::to_string(std::numeric_limits<N>::min()) + " to " +
                                  std::to_string(std::numeric_limits<N>::max()));
  }
  out = *value;
  return {};
}

template <class T>
Result<void> decode(const json::Node& node, const std::string& field, std::optional<T>& out) {
  T value{};
  TRY(decode(node, field, value));
  out = std::move(value);
  return {};
}

template <class T>
Result<void> decode(const json::Node& node, const std::string& field, std::vector<T>& out) {
  if (!node.is_array()) return field_error(field, "must be a list");
  out.clear();
  out.reserve(node.size());
  uint32_t i = 0;
  for (const json::Node& element : node) {
    T value{};
    TRY(decode(element, field + "[" + std::to_string(i++) + "]", value));
    out.push_back(std::move(value));
  }
  return {};
}

inline Result<void> decode(const json::Node& node, const std::string& field, std::map<std::string, std::string>& out) {
  if (!node.is_object()) return field_error(field, "must be an object");
  out.clear();
  for (const json::Node& member : node) {
    std::string value;
    TRY(decode(member, field + "." + std::string(member.key()), value));
    out.emplace(member.key(), std::move(value));
  }
  return {};
}

/// The member `key` of `object`, if it is there and not null.
template <class T>
Result<void> read(const json::Node& object, std::string_view key, const std::string& field, T& out) {
  const json::Node* node = object.find(key);
  if (!node || node->is_null()) return {};
  return decode(*node, field.empty() ? std::string(key) : field + "." + std::string(key), out);
}

/// The object member `key`, or null; another type is an error.
inline Result<const json::Node*> find_object(const json::Node& object, std::string_view key, const std::string& field) {
  const json::Node* node = object.find(key);
  if (!node || node->is_null()) return nullptr;
  if (!node->is_object()) return field_error(field.empty() ? std::string(key) : field + "." + std::string(key), "must be an object");
  return node;
}

}  // namespace estiba::runtime
