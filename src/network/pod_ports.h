// Ports of pods that the network asks for.
#pragma once
#include <vector>

#include "model/types/core_v1.h"
#include "network/pod_net.h"

namespace estiba::network {

/// Those with names, the sidecars' too.
std::vector<NamedPort> named_ports(const model::core_v1::PodSpec& spec);

}  // namespace estiba::network
