// Parts of the cluster's range of pod addresses, one for each node. Pure.
#pragma once
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/result.h"

namespace estiba::controllers {

class NodeRanges {
 public:
  /// `cidr` is IPv4; a cluster's range that is not larger than a node's part goes to one node whole.
  static Result<NodeRanges> make(std::string_view cidr, int node_mask);

  /// What a node has; text that is no IPv4 range, or is outside, takes nothing away. A wider one takes every part that it overlaps.
  void take(std::string_view cidr);
  /// The first part that nobody has; exhausted when there is none.
  Result<std::string> free() const;

 private:
  uint32_t first_ = 0;
  int length_ = 0, mask_ = 0;
  std::set<uint32_t> taken_;  // numbers of parts
};

}  // namespace estiba::controllers
