// What every network namespace of a pod or a container has in common.
#pragma once
#include "base/result.h"

namespace estiba::network {

/// Sets the sysctls of the namespace that this thread is in.
Result<void> set_inside_sysctls();
/// Those for IPv6 addresses that nobody but us hands out.
Result<void> set_inside_sysctls_v6();

}  // namespace estiba::network
