// IPv4 and IPv6 addresses and prefixes as values.
#pragma once
#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace estiba {

/// An address as a number.
using AddressNumber = unsigned __int128;

/// An IPv4 or IPv6 address. Bytes are in network order; an IPv4 address uses the first four.
struct Address {
  std::array<uint8_t, 16> bytes{};
  bool v6 = false;

  bool operator==(const Address&) const = default;
  /// IPv4 before IPv6, each by number.
  std::strong_ordering operator<=>(const Address& other) const {
    return v6 == other.v6 ? value() <=> other.value() : int(v6) <=> int(other.v6);
  }
  size_t size() const { return v6 ? 16 : 4; }
  std::string_view raw() const { return {reinterpret_cast<const char*>(bytes.data()), size()}; }
  std::string text() const;
  /// 0.0.0.0 or ::.
  bool is_zero() const { return bytes == std::array<uint8_t, 16>{}; }
  /// Only for IPv4: the address as a number in host order.
  uint32_t number() const { return uint32_t(bytes[0]) << 24 | uint32_t(bytes[1]) << 16 | uint32_t(bytes[2]) << 8 | bytes[3]; }
  /// The same of either family.
  AddressNumber value() const {
    if (!v6) return number();
    AddressNumber out = 0;
    for (const uint8_t byte : bytes) out = out << 8 | byte;
    return out;
  }

  static Address from_number(uint32_t v4);
  static Address from_value(AddressNumber value, bool v6);
  /// Of 4 or 16 bytes in network order.
  static Address from_raw(std::string_view bytes);
  /// Strict text form (inet_pton(3)); malformed names the text.
  static Result<Address> parse(std::string_view text);
};

/// "IPv4" or "IPv6", as Kubernetes writes it.
inline std::string_view family_name(bool v6) { return v6 ? "IPv6" : "IPv4"; }

struct Prefix {
  Address address;  ///< host bits are zero
  int length = 0;

  auto operator<=>(const Prefix&) const = default;
  bool contains(const Address& address) const;
  bool overlaps(const Prefix& other) const { return contains(other.address) || other.contains(address); }
  std::string text() const { return address.text() + "/" + std::to_string(length); }
  int host_bits() const { return int(address.size()) * 8 - length; }
  /// The greatest address, an IPv4 prefix's broadcast address.
  Address last() const;
  /// The n-th address, counted from its first; exhausted when it is outside.
  Result<Address> nth(uint64_t n) const;
  /// Which one an address of it is.
  AddressNumber index_of(const Address& inner) const { return inner.value() - address.value(); }

  /// "10.42.0.0/16"; host bits that are set are an error.
  static Result<Prefix> parse(std::string_view text);
  /// The same, but host bits that are set are cleared, as in "10.42.0.7/16".
  static Result<Prefix> parse_loose(std::string_view text);
};

/// One prefix, or one of each family ("10.42.0.0/16,fd00:42::/56"): the first is of the primary family.
Result<std::vector<Prefix>> parse_ranges(std::string_view text);
/// The one of a family; null when there is none.
const Prefix* range_of_family(const std::vector<Prefix>& ranges, bool v6);

}  // namespace estiba
