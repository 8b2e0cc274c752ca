// What a node has of one family of addresses.
#pragma once
#include <optional>
#include <string_view>
#include <vector>

#include "network/address.h"

namespace estiba::network {

struct Side {
  Prefix pods;                     ///< the node's part
  Prefix cluster;                  ///< all nodes' pods
  std::optional<Prefix> services;  ///< nothing: no Service has an address of this family
  Address gateway;                 ///< the bridge's: the first of `pods`
  std::optional<Address> dns;      ///< the cluster's DNS: the tenth of `services`

  bool v6() const { return pods.address.v6; }
};

/// A side for each of the node's parts, in their order. `pods`, `cluster` and `services` are one range, or one of each family with a comma
/// between them; an empty `cluster` is `pods`. Code::invalid when they do not fit together.
Result<std::vector<Side>> sides_of(std::string_view pods, std::string_view cluster, std::string_view services);

}  // namespace estiba::network
