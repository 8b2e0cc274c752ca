// Capacity of devices that several claims share (KEP 5075).
#pragma once
#include <optional>

#include "scheduler/devices/slices.h"

namespace estiba::scheduler::devices {

/// What a request takes of each of the device's capacities: what it asks for, rounded up to what the device's policy offers, or the
/// policy's default, or all.
Amounts consumption(const Device& device, const Amounts& asked);

/// Whether the device still has what a request asks for. `used` by others and `taking`, by what is being tried, may be null.
bool has_room(const Device& device, const Amounts& asked, const Amounts* used, const Amounts* taking);

}  // namespace estiba::scheduler::devices
