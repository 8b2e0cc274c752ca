// Rules about one field, as rows of a table: where it is, what it must be. Most of what Kubernetes' validation.go files say
// about a kind is of this sort; what looks at several fields is code beside the table.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "apiserver/field_errors.h"
#include "model/json.h"

namespace estiba::apiserver {

/// What a value must be. All but `required` are silent about a value that is absent, null or "".
enum class Check : uint8_t {
  required,        ///< there, and not "", [] or {}; `arg` is the detail of the message
  forbidden,       ///< not there; `arg` is the detail
  not_negative,    ///< a number ≥ 0
  positive,        ///< a number > 0
  range,           ///< a number in `arg` = "low high", both inclusive
  one_of,          ///< a string of `arg` = "A B C"
  dns_label,       ///< RFC 1123 label
  dns_subdomain,   ///< RFC 1123 subdomain
  qualified_name,  ///< "example.com/name" or "name"
  label_value,     ///< what a label may be worth
  path_segment,    ///< usable as one segment of a path
  port,            ///< 1–65535
  port_or_name,    ///< a port's number or name
  ip,              ///< an address without leading zeros
  cidr,            ///< a network without bits beyond its prefix
  config_key,      ///< a key of a ConfigMap
  env_name,        ///< an environment variable's name
  http_header,     ///< an HTTP header's name
  file_mode,       ///< 0–0777
  no_backsteps,    ///< a path without ".."
  relative_path,   ///< … that does not begin with '/'
  inner_path,      ///< … and whose first part does not begin with ".."
  absolute_path,   ///< begins with '/'
  quantity,        ///< a quantity ≥ 0
  user_id,         ///< 0–2147483647
  labels,          ///< a map of labels
  label_selector,  ///< a LabelSelector
  max_items,       ///< at most `arg` elements
  max_bytes,       ///< a string of at most `arg` bytes
  driver_name,     ///< a CSI driver's name
  int_or_percent,  ///< a number ≥ 0 or a percentage
};

struct FieldRule {
  /// "spec.ports[].name": `[]` stands for every element of a list, `{}` for every member of a map.
  std::string_view path;
  Check check;
  std::string_view arg = {};
};

/// Checks every value that the rules' paths lead to. Fields in errors begin with `prefix` ("spec.template.spec").
void check_fields(const json::Node& object, std::span<const FieldRule> rules, const std::string& prefix, FieldErrors& errors);
/// One value, at `field`.
void check_value(const json::Node* value, Check check, std::string_view arg, std::string field, FieldErrors& errors);

/// "spec" and "ports" → "spec.ports"; "" and "ports" → "ports".
std::string join_path(std::string_view path, std::string_view key);
/// The number at `key`, when there is one.
std::optional<int64_t> int_at(const json::Node& object, std::string_view key);
/// The boolean at `key`, false when absent.
bool bool_at(const json::Node& object, std::string_view key);

/// Calls `act(element, path of the element)` for every element of the list (or member of the map) at `key`.
template <class Act>
void each(const json::Node& object, std::string_view key, const std::string& path, Act act) {
  const json::Node* list = object.find(key);
  if (!list || list->type() < json::Type::array) return;
  const std::string base = join_path(path, key);
  size_t i = 0;
  for (const json::Node& element : *list) act(element, list->is_object() ? at(base, element.key()) : at(base, i++));
}

/// What a union of fields holds: complains when more than one member of `names` is there, or (with a text) none.
/// Returns how many are.
int check_union(const json::Node& object, std::span<const std::string_view> names, const std::string& path, std::string_view too_many,
                std::string_view none, FieldErrors& errors);

}  // namespace estiba::apiserver
