#include "controllers/node_ranges.h"

#include <arpa/inet.h>

#include <algorithm>

#include "base/strings.h"

namespace estiba::controllers {

namespace {

struct Range {
  uint32_t first = 0;
  int length = 0;
};

uint64_t size_of(int length) { return uint64_t(1) << (32 - length); }

std::optional<Range> parse(std::string_view text) {
  const auto [address, length] = split_once(text, '/');
  in_addr bytes{};
  const auto bits = length ? parse_number<int>(*length) : std::nullopt;
  if (!bits || *bits < 0 || *bits > 32 || inet_pton(AF_INET, std::string(address).c_str(), &bytes) != 1) return std::nullopt;
  return Range{uint32_t(ntohl(bytes.s_addr) & ~(size_of(*bits) - 1)), *bits};
}

}  // namespace

Result<NodeRanges> NodeRanges::make(std::string_view cidr, int node_mask) {
  const auto range = parse(cidr);
  if (!range) return fail(Code::invalid, "--pod-cidr " + std::string(cidr) + " is no IPv4 range");
  if (node_mask < 8 || node_mask > 30)
    return fail(Code::invalid, "--node-cidr-mask-size must be 8 to 30, not " + std::to_string(node_mask));
  NodeRanges out;
  out.first_ = range->first;
  out.length_ = range->length;
  out.mask_ = std::max(node_mask, range->length);
  return out;
}

void NodeRanges::take(std::string_view cidr) {
  const auto range = parse(cidr);
  if (!range) return;
  const uint64_t whole = size_of(length_), part = size_of(mask_), begin = first_, end = begin + whole;
  const uint64_t from = std::max<uint64_t>(range->first, begin), to = std::min<uint64_t>(range->first + size_of(range->length), end);
  for (uint64_t at = from; at < to; at += part) taken_.insert(uint32_t((at - begin) / part));
}

Result<std::string> NodeRanges::free() const {
  const uint64_t parts = size_of(length_) / size_of(mask_);
  uint32_t n = 0;
  for (uint32_t taken : taken_) {  // in order
    if (taken != n) break;
    ++n;
  }
  if (n >= parts)
    return fail(Code::exhausted,
                "all " + std::to_string(parts) + " parts (/" + std::to_string(mask_) + ") of the pods' range are in use by nodes");
  const in_addr address{htonl(uint32_t(first_ + n * size_of(mask_)))};
  char text[INET_ADDRSTRLEN];
  inet_ntop(AF_INET, &address, text, sizeof text);
  return std::string(text) + "/" + std::to_string(mask_);
}

}  // namespace estiba::controllers
