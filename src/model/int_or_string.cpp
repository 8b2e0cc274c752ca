#include "model/int_or_string.h"

#include <charconv>

namespace estiba::model {

std::string IntOrString::print() const {
  if (is == Is::number) return std::to_string(number);
  if (is == Is::absent) return "null";
  std::string out;
  json::append_string(out, text);
  return out;
}

std::string IntOrString::str() const { return is == Is::number ? std::to_string(number) : text; }

Result<int32_t> IntOrString::scaled(int32_t total, bool round_up) const {
  if (is == Is::number) return number;
  if (is == Is::absent) return fail(Code::invalid, "nil value for IntOrString");
  int64_t percent = 0;
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, percent);
  if (error != std::errc() || at + 1 != end || *at != '%' || percent > INT32_MAX || percent < INT32_MIN)
    return fail(Code::invalid, "invalid value for IntOrString: invalid type: string is not a percentage");
  const int64_t product = percent * total;
  const int64_t rounded = product / 100 + (round_up && product % 100 > 0 ? 1 : 0) - (!round_up && product % 100 < 0 ? 1 : 0);
  if (rounded > INT32_MAX || rounded < INT32_MIN) return fail(Code::invalid, text + " of " + std::to_string(total) + " is out of range");
  return int32_t(rounded);
}

std::optional<IntOrString> IntOrString::from(const json::Node& node) {
  if (node.is_string()) return IntOrString(std::string(node.as_string()));
  const auto value = node.as_int();
  if (!value || *value > INT32_MAX || *value < INT32_MIN) return std::nullopt;
  return IntOrString(int32_t(*value));
}

}  // namespace estiba::model
