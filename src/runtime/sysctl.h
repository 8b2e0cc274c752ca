// Kernel parameters of a container's or a pod's own namespaces.
#pragma once
#include <string>
#include <string_view>

#include "base/result.h"

namespace estiba::runtime {

/// Which namespaces of the calling process are its own, not the host's.
struct OwnNamespaces {
  bool network = false, ipc = false, uts = false;
};

/// Writes below /proc/sys in the calling process's namespaces. `name` has dots, or slashes where a part has dots itself
/// ("net.ipv4.conf.eth0/1.rp_filter", sysctl(8)). Code::invalid when the parameter belongs to no namespace or to one that is
/// the host's: it would change the whole machine (runtime-spec, config-linux.md, sysctl; Linux, ipc/ipc_sysctl.c).
Result<void> write_sysctl(const std::string& name, std::string_view value, OwnNamespaces own);

}  // namespace estiba::runtime
