// IntOrString: a port by number or name, a count or a percentage.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "model/json.h"

namespace estiba::model {

struct IntOrString {
  enum class Is : uint8_t { absent, number, text };
  Is is = Is::absent;
  int32_t number = 0;
  std::string text;

  IntOrString() = default;
  IntOrString(int32_t value) : is(Is::number), number(value) {}
  IntOrString(std::string value) : is(Is::text), text(std::move(value)) {}
  IntOrString(const char* value) : is(Is::text), text(value) {}

  explicit operator bool() const { return is != Is::absent; }
  bool is_number() const { return is == Is::number; }
  bool is_text() const { return is == Is::text; }
  bool operator==(const IntOrString&) const = default;

  /// As JSON: 80 or "http".
  std::string print() const;
  /// As a person reads it: 80 or http; "" when absent.
  std::string str() const;
  /// A number as it is; "30%" of `total`, rounded up or down (Kubernetes' GetScaledValueFromIntOrPercent). Other text is
  /// invalid.
  Result<int32_t> scaled(int32_t total, bool round_up) const;

  /// nullopt when the node is neither a string nor a 32-bit number.
  static std::optional<IntOrString> from(const json::Node& node);
};

}  // namespace estiba::model
