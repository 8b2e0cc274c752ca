// The seccomp profile for containers that ask for RuntimeDefault: an allow-list of what programs need, without what reaches
// out of a container (mounting, namespaces, modules, keys, tracing of others, raw clocks, …).
#pragma once
#include <string>
#include <vector>

#include "os/seccomp.h"

namespace estiba::runtime {

/// `capabilities` are the names of those in the container's bounding set: some syscalls are let through with the capability
/// that guards them (mount with CAP_SYS_ADMIN, …).
os::SeccompFilter default_seccomp(const std::vector<std::string>& capabilities);
/// The same as the JSON of `linux.seccomp`.
std::string default_seccomp_json(const std::vector<std::string>& capabilities);

}  // namespace estiba::runtime
