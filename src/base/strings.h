// Small string helpers that the standard library lacks.
#pragma once
#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace estiba {

std::vector<std::string_view> split(std::string_view text, char separator);
/// Before and after the first separator; the second is nullopt without one.
std::pair<std::string_view, std::optional<std::string_view>> split_once(std::string_view text, char separator);
/// The parts between blanks; several in a row count as one.
std::vector<std::string_view> words(std::string_view text);
std::string_view trim(std::string_view text);
std::string to_lower(std::string_view text);
bool equals_ignore_case(std::string_view a, std::string_view b);
std::string join(const std::vector<std::string>& parts, std::string_view separator);
/// "\"text\"" with quotes and control characters escaped as Go's %q does.
std::string quoted(std::string_view text);

/// The whole text as a decimal number, or nullopt.
template <class N>
std::optional<N> parse_number(std::string_view text, int base = 10) {
  N value{};
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

std::string base64_encode(std::string_view bytes);
std::string base64url_encode(std::string_view bytes);  ///< without padding, as JWTs want
Result<std::string> base64_decode(std::string_view text);
Result<std::string> base64url_decode(std::string_view text);
std::string hex_encode(std::string_view bytes);

/// Cryptographically random bytes (getrandom(2)).
std::string random_bytes(size_t count);
/// A random (version 4) UUID.
std::string random_uuid();
/// The suffix that generateName and ReplicaSets use: letters and digits without vowels and look-alikes.
std::string random_suffix(size_t length);
/// The same alphabet applied to a number, as Kubernetes' pod-template-hash (rand.SafeEncodeString of the decimal).
std::string safe_encode(std::string_view text);

uint64_t fnv1a64(std::string_view bytes);
uint32_t fnv1a32(std::string_view bytes);

}  // namespace estiba
