// GET /metrics/cadvisor: what containers and pods use of the machine, under the names that cAdvisor gives them and that Prometheus rules
// expect. Read when somebody asks.
#pragma once
#include <string>

#include "node/layer_sizes.h"
#include "node/node.h"

namespace estiba::node {

/// Prometheus' text form. A container's rows have its labels container, id (its control group), image, name (its id), namespace and pod; a
/// pod's have container, image and name empty, and the network's are its. CPU in seconds since the start, memory and file systems in bytes.
Task<std::string> cadvisor_metrics(Node* node, LayerSizes* layers);

}  // namespace estiba::node
