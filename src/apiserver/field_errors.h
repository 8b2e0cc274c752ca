// Collects what is wrong with an object, in the words of Kubernetes, each with the path of its field.
#pragma once
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/json.h"

namespace estiba::apiserver {

class FieldErrors {
 public:
  void required(std::string field, std::string_view detail = {});
  /// `value` as JSON text would show it: use shown() for strings and nodes.
  void invalid(std::string field, std::string_view value, std::string_view detail);
  void invalid(std::string field, const json::Node* value, std::string_view detail);
  void invalid_string(std::string field, std::string_view value, std::string_view detail);
  void not_supported(std::string field, std::string_view value, std::span<const std::string_view> allowed);
  void not_supported(std::string field, std::string_view value, std::initializer_list<std::string_view> allowed) {
    not_supported(std::move(field), value, std::span(allowed.begin(), allowed.size()));
  }
  void duplicate(std::string field, std::string_view value);
  void forbidden(std::string field, std::string_view detail);
  void not_found(std::string field, std::string_view value);
  void too_long(std::string field, size_t limit);
  /// The same complaint about the same field (a missing value, a value outside of an enum) is kept once, with the longer text.
  void add(FieldCause cause);

  bool empty() const { return causes_.empty(); }
  std::vector<FieldCause> take() { return std::move(causes_); }
  const std::vector<FieldCause>& causes() const { return causes_; }

 private:
  std::vector<FieldCause> causes_;
};

/// "spec.ports" and 2 → "spec.ports[2]".
std::string at(std::string_view path, size_t index);
/// "metadata.labels" and "a" → "metadata.labels[a]".
std::string at(std::string_view path, std::string_view key);

}  // namespace estiba::apiserver
