// How the daemon speaks to registries for a client: the client's credentials and the daemon's settings.
#pragma once
#include "base/result.h"
#include "docker/router.h"
#include "image/registry.h"

namespace estiba::docker {

/// Reads X-Registry-Auth (base64url of JSON) and the daemon's mirrors and insecure registries. A header that cannot be read is
/// invalid.
Result<void> registry_options(Daemon& daemon, ApiRequest& request, image::RegistryOptions& options);

}  // namespace estiba::docker
