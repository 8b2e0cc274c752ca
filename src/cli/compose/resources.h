// Networks, volumes and images of a project, made when they are missing.
#pragma once
#include <string>
#include <vector>

#include "cli/compose/context.h"

namespace estiba::cli::compose {

/// Makes the networks and volumes that the services use. An external one that is missing: not_found.
Result<void> ensure_networks(Context& context, const Project& project, const std::vector<std::string>& services);
Result<void> ensure_volumes(Context& context, const Project& project, const std::vector<std::string>& services);
/// Removes what is labelled as the project's. A network that others still use is told and stays.
Result<void> remove_networks(Context& context, const Project& project);
Result<void> remove_volumes(Context& context, const Project& project);

struct ImageOptions {
  bool build = false;     ///< also when the image is there
  bool no_build = false;  ///< a missing one is an error
  bool no_cache = false, pull_bases = false, quiet = false;
  std::string pull;                    ///< --pull: "always", "missing", "never"; empty: what the services say
  std::vector<std::string> arguments;  ///< --build-arg
};
/// Every image that the services need is there afterwards: pulled or built.
Result<void> ensure_images(Context& context, const Project& project, const std::vector<std::string>& services, const ImageOptions& options);
/// Builds a service's image, by Docker's build verb.
Result<void> build_image(Context& context, const Project& project, const json::Node& service, const ImageOptions& options);
/// The id of an image, or "" when it is not here.
Result<std::string> image_id(docker::Client& client, const std::string& image);

}  // namespace estiba::cli::compose
