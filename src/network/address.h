// Addresses and prefixes by the names that the network has for them.
#pragma once
#include "base/address.h"

namespace estiba::network {

using estiba::Address;
using estiba::Prefix;

}  // namespace estiba::network
