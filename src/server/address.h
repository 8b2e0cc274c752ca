// Addresses of this machine and parts of the cluster's ranges.
#pragma once
#include <string>

#include "base/result.h"

namespace estiba::server {

/// The address that this machine uses towards the outside (the default route's), else the first of an interface other than
/// lo, else 127.0.0.1. IPv4; sends nothing.
std::string own_address();

/// The first /24 of a cluster's pod range: the part of the node in the server's process.
Result<std::string> first_node_range(const std::string& pod_cidr);
/// The n-th address of a range: 1 is Service kubernetes, 10 the DNS.
Result<std::string> nth_address(const std::string& cidr, uint32_t n);

}  // namespace estiba::server
