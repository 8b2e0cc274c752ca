#include "network/policy/ranges.h"

#include <algorithm>

#include "base/strings.h"
#include "network/address.h"

namespace estiba::network::policy {

Ranges merged(Ranges ranges) {
  std::ranges::sort(ranges);
  Ranges out;
  for (const Range& range : ranges) {
    // Compared as 64 bits: nothing comes behind the last address.
    if (!out.empty() && uint64_t(out.back().last) + 1 >= range.first) out.back().last = std::max(out.back().last, range.last);
    else out.push_back(range);
  }
  return out;
}

Ranges subtract(const Ranges& from, const Ranges& without) {
  Ranges out;
  for (const Range& range : from) {
    uint64_t next = range.first;
    for (const Range& hole : without) {
      if (hole.last < next || hole.first > range.last) continue;
      if (hole.first > next) out.push_back({uint32_t(next), hole.first - 1});
      next = uint64_t(hole.last) + 1;
    }
    if (next <= range.last) out.push_back({uint32_t(next), range.last});
  }
  return out;
}

Result<Range> range_of(std::string_view cidr) {
  auto [text, suffix] = split_once(cidr, '/');
  Address address = TRY(Address::parse(text));
  if (address.v6) return fail(Code::unsupported, "pods have no IPv6 addresses: " + std::string(cidr));
  auto length = suffix ? parse_number<uint8_t>(*suffix) : std::nullopt;
  if (!length || *length > 32) return fail(Code::malformed, quoted(cidr) + " is not a CIDR");
  const uint32_t mask = *length ? ~uint32_t(0) << (32 - *length) : 0;
  return Range{address.number() & mask, address.number() | ~mask};
}

}  // namespace estiba::network::policy
