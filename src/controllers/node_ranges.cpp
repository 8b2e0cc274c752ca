#include "controllers/node_ranges.h"

#include <algorithm>

namespace estiba::controllers {

Result<NodeRanges> NodeRanges::make(const Prefix& range, int node_mask) {
  const bool v6 = range.address.v6;
  const int least = v6 ? 16 : 8, most = v6 ? 126 : 30;
  if (node_mask < least || node_mask > most)
    return fail(Code::invalid, std::string(v6 ? "--node-cidr-mask-size-ipv6" : "--node-cidr-mask-size") + " must be " +
                                   std::to_string(least) + " to " + std::to_string(most) + ", not " + std::to_string(node_mask));
  if (v6 && node_mask - range.length > 16)
    return fail(Code::invalid, "--pod-cidr " + range.text() + " has too many parts of /" + std::to_string(node_mask) +
                                   " for nodes: its length must be " + std::to_string(node_mask - 16) + " or more");
  NodeRanges out;
  out.range_ = range;
  out.mask_ = std::max(node_mask, range.length);
  return out;
}

void NodeRanges::count(std::string_view cidr, int by) {
  const auto other = Prefix::parse_loose(cidr);
  if (!other || !range_.overlaps(*other)) return;
  const AddressNumber from = std::max(other->address, range_.address).value(), to = std::min(other->last(), range_.last()).value();
  const AddressNumber base = range_.address.value();
  for (auto part = uint32_t((from - base) >> part_bits()), last = uint32_t((to - base) >> part_bits());; ++part) {
    if ((taken_[part] += by) <= 0) {
      taken_.erase(part);
      all_before_ = std::min(all_before_, part);
    }
    if (part == last) break;
  }
  for (auto next = taken_.find(all_before_); next != taken_.end() && next->first == all_before_; ++next) ++all_before_;
}

Result<std::string> NodeRanges::free() const {
  const uint64_t parts = uint64_t(1) << (mask_ - range_.length);
  const uint32_t n = all_before_;
  if (n >= parts)
    return fail(Code::exhausted,
                "all " + std::to_string(parts) + " parts (/" + std::to_string(mask_) + ") of the pods' range are in use by nodes");
  const AddressNumber first = range_.address.value() + (AddressNumber(n) << part_bits());
  return Address::from_value(first, range_.address.v6).text() + "/" + std::to_string(mask_);
}

}  // namespace estiba::controllers
