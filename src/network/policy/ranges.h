// Sets of numbers as sorted, disjoint ranges: what an ipBlock means, and what ports of a rule do.
#pragma once
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace estiba::network::policy {

/// Both ends belong to it.
struct Range {
  uint32_t first = 0, last = 0;
  auto operator<=>(const Range&) const = default;
};
/// Sorted, without overlap, and none directly behind another.
using Ranges = std::vector<Range>;

Ranges merged(Ranges ranges);
/// What of `from` is not in `without`. Both as merged() makes them.
Ranges subtract(const Ranges& from, const Ranges& without);

/// The addresses of an IPv4 CIDR, in host order. Bits beyond its length count as zero, as Kubernetes reads them.
/// Code::unsupported for IPv6, malformed for what is no CIDR.
Result<Range> range_of(std::string_view cidr);

}  // namespace estiba::network::policy
