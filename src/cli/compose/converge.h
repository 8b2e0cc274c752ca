// Brings a project's containers to what its files say.
#pragma once
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cli/compose/body.h"
#include "cli/compose/context.h"
#include "cli/compose/resources.h"

namespace estiba::cli::compose {

struct UpOptions {
  ImageOptions images;
  bool force_recreate = false, no_recreate = false, always_recreate_deps = false, no_deps = false, no_start = false;
  bool renew_anonymous_volumes = false, remove_orphans = false;
  std::optional<int64_t> timeout;  ///< seconds for containers to stop
  std::map<std::string, int64_t> scale;
};

/// Networks, volumes, images, containers; then starts them, each after its dependencies, waiting as these say, several at once.
/// `services` empty: all. Returns the services that were meant, dependencies included.
Result<std::vector<std::string>> converge(Context& context, const Project& project, const std::vector<std::string>& services,
                                          const UpOptions& options);

/// The first half: everything is made, nothing started.
Result<std::vector<std::string>> make_all(Context& context, const Project& project, const std::vector<std::string>& services,
                                          const UpOptions& options);
/// Called, from several threads at once, with a container that runs now and how it was before it was started.
using Started = std::function<Result<void>(const Member&)>;
/// The second half, for what the first one returned.
Result<void> start_all(Context& context, const Project& project, const std::vector<std::string>& services, const Started& started = {});

/// Creates a container with its networks and granted files; returns its id.
Result<std::string> create_container(Context& context, const Project& project, const json::Node& service, const std::string& name,
                                     const BodyOptions& options);
/// Ids of the containers that "service:x" in a service's modes means.
Result<std::vector<std::pair<std::string, std::string>>> peers(docker::Client& client, const Project& project);

/// Waits until what `service` depends on is as its conditions say.
Result<void> wait_for_dependencies(Context& context, const Project& project, const json::Node& service);
/// Waits until the services' containers run and, where they have a health check, are healthy. `limit` in seconds, 0: none.
Result<void> wait_until_ready(Context& context, const Project& project, const std::vector<std::string>& services, int64_t limit);
/// Containers of services that the project does not have any more: removed, or a warning.
Result<void> treat_orphans(Context& context, const Project& project, bool remove);

}  // namespace estiba::cli::compose
