// What every network namespace of a pod or a container has in common.
#pragma once
#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "network/pod_net.h"

namespace estiba::network {

/// Sets the sysctls of the namespace that this thread is in.
Result<void> set_inside_sysctls();
/// Those for IPv6 addresses that nobody but us hands out.
Result<void> set_inside_sysctls_v6();

/// A user namespace with the ids that the pod is to have, bound at `path`; a network namespace that belongs to it is made within.
Result<Fd> make_user_namespace(const std::string& path, const PodRequest& owner);

}  // namespace estiba::network
