// What repairs the reservations of Services: their IPAddress objects and node ports are written with them, but clients may delete
// an IPAddress, and a store filled by an older version has none.
#pragma once
#include "apiserver/registry.h"
#include "base/task.h"

namespace estiba::apiserver {

/// Once: makes what is missing for the stored Services and removes what no Service holds. Says in the log what it did; what two
/// Services hold, or what is out of every range, it only names.
Task<Result<void>> repair_reservations(Registry& registry);

/// Repairs every three minutes, and at once when the IPAddress of a Service is gone; first after one of these (Api::bootstrap has
/// repaired before). Does not end.
Task<void> keep_reservations(Registry& registry);

}  // namespace estiba::apiserver
