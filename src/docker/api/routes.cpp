#include "docker/api/routes.h"

namespace estiba::docker {

// clang-format off: one a line, so that additions do not meet
static constexpr void (*groups[])(Router&) = {
    add_archive_routes,
    add_attach_routes,
    add_auth_routes,
    add_build_routes,
    add_buildkit_routes,
    add_commit_routes,
    add_container_routes,
    add_disk_usage_routes,
    add_distribution_routes,
    add_event_routes,
    add_exec_routes,
    add_image_routes,
    add_image_transfer_routes,
    add_inspection_routes,
    add_network_routes,
    add_swarm_routes,
    add_system_routes,
    add_volume_routes,
};
// clang-format on

Router make_router() {
  Router router;
  for (auto* add : groups) add(router);
  return router;
}

}  // namespace estiba::docker
