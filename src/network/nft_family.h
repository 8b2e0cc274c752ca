// What differs between the packet filter's tables of the two families: sizes, types and where things stand in a packet. A register holds
// four bytes, so an address takes one or four of them.
#pragma once
#include <string>

#include "network/address.h"
#include "os/nft.h"

namespace estiba::network {

struct NftFamily {
  bool v6 = false;
  os::nft::Family table = os::nft::Family::ip;
  uint32_t type = os::nft::type_ipv4;      ///< of an address, as nft(8) has it
  uint32_t size = 4;                       ///< bytes of an address
  int words = 1;                           ///< registers of an address
  uint32_t source = 12, destination = 16;  ///< where they stand in the header (RFC 791, RFC 8200)
  uint8_t icmp = 1;                        ///< IPPROTO_ICMP, IPPROTO_ICMPV6

  static const NftFamily& of(bool v6) {
    static const NftFamily four, six{true, os::nft::Family::ip6, os::nft::type_ipv6, 16, 4, 8, 24, 58};
    return v6 ? six : four;
  }

  os::nft::Rule& load_source(os::nft::Rule& rule, int reg) const { return rule.payload(1, source, size, reg); }
  os::nft::Rule& load_destination(os::nft::Rule& rule, int reg) const { return rule.payload(1, destination, size, reg); }
  /// Ends the rule unless the address at `reg` is in the range; the register is changed.
  os::nft::Rule& within(os::nft::Rule& rule, int reg, const Prefix& range) const {
    return masked(rule, reg, range).equal(reg, range.address.raw());
  }
  os::nft::Rule& outside(os::nft::Rule& rule, int reg, const Prefix& range) const {
    return masked(rule, reg, range).differs(reg, range.address.raw());
  }
  std::string zero() const { return std::string(size, '\0'); }

 private:
  os::nft::Rule& masked(os::nft::Rule& rule, int reg, const Prefix& range) const {
    std::string mask(size, '\0');
    for (size_t bit = 0; bit < size_t(range.length); ++bit) mask[bit / 8] = char(uint8_t(mask[bit / 8]) | 0x80 >> bit % 8);
    return rule.and_xor(reg, mask, zero());
  }
};

}  // namespace estiba::network
