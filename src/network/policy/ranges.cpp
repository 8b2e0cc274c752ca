#include "network/policy/ranges.h"

#include <string>

namespace estiba::network::policy {

Result<Block> block_of(std::string_view cidr, bool v6) {
  const Prefix range = TRY(Prefix::parse_loose(cidr));
  if (range.address.v6 != v6) return fail(Code::unsupported, range.text() + " has no " + std::string(family_name(v6)) + " addresses");
  return Block{range.address.value(), range.last().value()};
}

}  // namespace estiba::network::policy
