// Parts of the cluster's range of pod addresses, one for each node. Pure.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/address.h"

namespace estiba::controllers {

class NodeRanges {
 public:
  /// A cluster's range that is not larger than a node's part goes to one node whole. Code::invalid when there would be more than 65,536
  /// parts of an IPv6 range (as kube-controller-manager has it).
  static Result<NodeRanges> make(const Prefix& range, int node_mask);

  /// What a node has; text that is no range, or is outside, takes nothing away. A wider one takes every part that it overlaps.
  void take(std::string_view cidr) { count(cidr, 1); }
  /// Undoes one take().
  void give_back(std::string_view cidr) { count(cidr, -1); }
  /// The first part that nobody has; exhausted when there is none.
  Result<std::string> free() const;

 private:
  void count(std::string_view cidr, int by);
  int part_bits() const { return int(range_.address.size()) * 8 - mask_; }

  Prefix range_;
  int mask_ = 0;
  std::map<uint32_t, int> taken_;  // by the number of the part: how many have it
  uint32_t all_before_ = 0;        // parts with lower numbers are taken
};

}  // namespace estiba::controllers
