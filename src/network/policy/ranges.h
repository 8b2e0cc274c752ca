// Sets of numbers as sorted, disjoint ranges: what an ipBlock means, and what ports of a rule do.
#pragma once
#include <algorithm>
#include <compare>
#include <cstdint>
#include <string_view>
#include <vector>

#include "network/address.h"

namespace estiba::network::policy {

/// Both ends belong to it.
template <class Number>
struct Span {
  Number first = 0, last = 0;
  auto operator<=>(const Span&) const = default;
};
/// Sorted, without overlap, and none directly behind another.
template <class Number>
using Spans = std::vector<Span<Number>>;

using Range = Span<uint32_t>;
using Ranges = Spans<uint32_t>;  ///< of ports
using Block = Span<AddressNumber>;
using Blocks = Spans<AddressNumber>;  ///< of addresses of one family

template <class Number>
Spans<Number> merged(Spans<Number> spans) {
  std::ranges::sort(spans);
  Spans<Number> out;
  for (const auto& span : spans) {
    // Nothing comes behind the greatest number, so that adding one goes round only where the first condition holds already.
    if (!out.empty() && (out.back().last >= span.first || Number(out.back().last + 1) == span.first))
      out.back().last = std::max(out.back().last, span.last);
    else out.push_back(span);
  }
  return out;
}

/// What of `from` is not in `without`. Both as merged() makes them.
template <class Number>
Spans<Number> subtract(const Spans<Number>& from, const Spans<Number>& without) {
  Spans<Number> out;
  for (const auto& span : from) {
    Number next = span.first;
    bool more = true;
    for (const auto& hole : without) {
      if (hole.last < next || hole.first > span.last) continue;
      if (hole.first > next) out.push_back({next, Number(hole.first - 1)});
      more = hole.last < span.last;
      if (!more) break;
      next = hole.last + 1;
    }
    if (more) out.push_back({next, span.last});
  }
  return out;
}

/// The addresses of a CIDR of a family. Bits beyond its length count as zero, as Kubernetes reads them. Code::unsupported for one of the
/// other family, malformed for what is no CIDR.
Result<Block> block_of(std::string_view cidr, bool v6);

}  // namespace estiba::network::policy
