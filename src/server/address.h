// Addresses of this machine.
#pragma once
#include <string>
#include <vector>

#include "base/address.h"

namespace estiba::server {

/// The address that this machine uses towards `far` (as text); empty when there is no way. Sends nothing.
std::string address_towards(const std::string& far);
/// Of a family: towards the outside (the default route's), else the first of an interface other than lo that is in none of `besides`, else
/// "".
std::string own_address(bool v6, const std::vector<Prefix>& besides);
/// Every address of this machine's links.
std::vector<Address> machine_addresses();

}  // namespace estiba::server
