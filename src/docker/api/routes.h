// The path groups of the API; each file of this folder adds its own.
#pragma once
#include "docker/router.h"

namespace estiba::docker {

/// A router with all groups of the table in routes.cpp.
Router make_router();

void add_archive_routes(Router& router);
void add_attach_routes(Router& router);
void add_auth_routes(Router& router);
void add_build_routes(Router& router);
void add_buildkit_routes(Router& router);
void add_commit_routes(Router& router);
void add_container_routes(Router& router);
void add_disk_usage_routes(Router& router);
void add_distribution_routes(Router& router);
void add_event_routes(Router& router);
void add_exec_routes(Router& router);
void add_image_routes(Router& router);
void add_image_transfer_routes(Router& router);
void add_inspection_routes(Router& router);
void add_network_routes(Router& router);
void add_swarm_routes(Router& router);
void add_system_routes(Router& router);
void add_volume_routes(Router& router);

/// The query's h and w: (columns, rows).
Result<std::pair<uint16_t, uint16_t>> terminal_size(const ApiRequest& request);

}  // namespace estiba::docker
