// Addresses of this machine and parts of the cluster's ranges.
#pragma once
#include <string>

#include "base/result.h"

namespace estiba::server {

/// The address that this machine uses towards `far` (IPv4, as text); empty when there is no way. Sends nothing.
std::string address_towards(const std::string& far);
/// Towards the outside (the default route's), else the first of an interface other than lo, else 127.0.0.1.
std::string own_address();
/// The n-th address of a range: 1 is Service kubernetes, 10 the DNS.
Result<std::string> nth_address(const std::string& cidr, uint32_t n);

}  // namespace estiba::server
