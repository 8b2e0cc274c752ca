// The path groups of the API; each file of this folder adds its own.
#pragma once
#include "docker/router.h"

namespace estiba::docker {

/// A router with all groups of the table in routes.cpp.
Router make_router();

void add_container_routes(Router& router);
void add_build_routes(Router& router);
void add_swarm_routes(Router& router);
void add_network_routes(Router& router);
void add_system_routes(Router& router);
void add_volume_routes(Router& router);

}  // namespace estiba::docker
