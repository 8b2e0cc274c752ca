// Where clients outside reach a node that takes part in balancing their connections.
#pragma once
#include <string>
#include <vector>

#include "model/object.h"

namespace estiba::client {

/// Those of a Node for the outside, else those inside. None when it is not ready, is going, or has the well-known label
/// node.kubernetes.io/exclude-from-external-load-balancers.
std::vector<std::string> balancer_addresses(const model::ObjectRef& node);
/// Of several nodes, sorted, each once.
std::vector<std::string> balancer_addresses(const std::vector<model::ObjectRef>& nodes);

}  // namespace estiba::client
