// IPv4 and IPv6 addresses and prefixes as values.
#pragma once
#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace estiba::network {

/// An IPv4 or IPv6 address. Bytes are in network order; an IPv4 address uses the first four.
struct Address {
  std::array<uint8_t, 16> bytes{};
  bool v6 = false;

  auto operator<=>(const Address&) const = default;
  size_t size() const { return v6 ? 16 : 4; }
  std::string_view raw() const { return {reinterpret_cast<const char*>(bytes.data()), size()}; }
  std::string text() const;
  /// Only for IPv4: the address as a number in host order.
  uint32_t number() const { return uint32_t(bytes[0]) << 24 | uint32_t(bytes[1]) << 16 | uint32_t(bytes[2]) << 8 | bytes[3]; }

  static Address from_number(uint32_t v4);
  /// Strict text form (inet_pton(3)); malformed names the text.
  static Result<Address> parse(std::string_view text);
};

struct Prefix {
  Address address;  ///< host bits are zero
  int length = 0;

  auto operator<=>(const Prefix&) const = default;
  bool contains(const Address& address) const;
  std::string text() const { return address.text() + "/" + std::to_string(length); }
  /// The n-th address of an IPv4 prefix, counted from its first; exhausted when it is outside.
  Result<Address> nth(uint32_t n) const;

  /// "10.42.0.0/16"; host bits that are set are an error.
  static Result<Prefix> parse(std::string_view text);
  /// The same, but host bits that are set are cleared, as in "10.42.0.7/16".
  static Result<Prefix> parse_loose(std::string_view text);
};

}  // namespace estiba::network
