#include "base/address.h"

#include <arpa/inet.h>

#include "base/strings.h"

namespace estiba {

std::string Address::text() const {
  char text[INET6_ADDRSTRLEN];
  inet_ntop(v6 ? AF_INET6 : AF_INET, bytes.data(), text, sizeof text);
  return text;
}

Address Address::from_number(uint32_t v4) {
  Address address;
  for (int i = 0; i < 4; ++i) address.bytes[size_t(i)] = uint8_t(v4 >> (24 - 8 * i));
  return address;
}

Address Address::from_value(AddressNumber value, bool v6) {
  Address address{.v6 = v6};
  for (size_t i = address.size(); i-- > 0; value >>= 8) address.bytes[i] = uint8_t(value);
  return address;
}

Address Address::from_raw(std::string_view bytes) {
  Address address{.v6 = bytes.size() == 16};
  std::copy_n(bytes.begin(), std::min(bytes.size(), address.size()), address.bytes.begin());
  return address;
}

Result<Address> Address::parse(std::string_view text) {
  Address address;
  address.v6 = text.contains(':');
  if (inet_pton(address.v6 ? AF_INET6 : AF_INET, std::string(text).c_str(), address.bytes.data()) != 1)
    return fail(Code::malformed, quoted(text) + " is not an IP address");
  return address;
}

static uint8_t mask_byte(int length, size_t byte) {
  int bits = std::clamp(length - int(byte) * 8, 0, 8);
  return uint8_t(0xff00 >> bits);
}

bool Prefix::contains(const Address& other) const {
  if (other.v6 != address.v6) return false;
  for (size_t i = 0; i < address.size(); ++i)
    if ((other.bytes[i] & mask_byte(length, i)) != address.bytes[i]) return false;
  return true;
}

Address Prefix::last() const {
  Address out = address;
  for (size_t i = 0; i < out.size(); ++i) out.bytes[i] |= uint8_t(~mask_byte(length, i));
  return out;
}

Result<Address> Prefix::nth(uint64_t n) const {
  if (host_bits() < 64 && n >> host_bits()) return fail(Code::exhausted, text() + " has no address number " + std::to_string(n));
  return Address::from_value(address.value() + n, address.v6);
}

Result<Prefix> Prefix::parse_loose(std::string_view text) {
  auto [address, length] = split_once(text, '/');
  Prefix prefix;
  prefix.address = TRY_AS("the prefix " + quoted(text), Address::parse(address));
  auto bits = parse_number<int>(length.value_or(""));
  if (!bits || *bits < 0 || *bits > int(prefix.address.size()) * 8)
    return fail(Code::malformed, "the prefix " + quoted(text) + " needs a length, as in 10.42.0.0/24");
  prefix.length = *bits;
  for (size_t i = 0; i < prefix.address.size(); ++i) prefix.address.bytes[i] &= mask_byte(prefix.length, i);
  return prefix;
}

Result<Prefix> Prefix::parse(std::string_view text) {
  Prefix prefix = TRY(parse_loose(text));
  if (prefix.address != TRY(Address::parse(split_once(text, '/').first)))
    return fail(Code::invalid, "the prefix " + quoted(text) + " has bits set beyond its length");
  return prefix;
}

Result<std::vector<Prefix>> parse_ranges(std::string_view text) {
  std::vector<Prefix> ranges;
  for (std::string_view part : split(text, ',')) ranges.push_back(TRY(Prefix::parse(trim(part))));
  if (ranges.size() > 2 || (ranges.size() == 2 && ranges[0].address.v6 == ranges[1].address.v6))
    return fail(Code::invalid, quoted(text) + " must be one range, or one of IPv4 and one of IPv6 with a comma between them");
  return ranges;
}

const Prefix* range_of_family(const std::vector<Prefix>& ranges, bool v6) {
  for (const Prefix& range : ranges)
    if (range.address.v6 == v6) return &range;
  return nullptr;
}

}  // namespace estiba
