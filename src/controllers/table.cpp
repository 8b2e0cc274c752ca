#include "controllers/table.h"

namespace estiba::controllers {

static constexpr ControllerEntry table[] = {
    {"deployment", make_deployment_controller},
    {"replicaset", make_replica_set_controller},
    {"endpointslice", make_endpoint_slice_controller},
    {"endpoints", make_endpoints_controller},
};

std::span<const ControllerEntry> controller_table() { return table; }

}  // namespace estiba::controllers
