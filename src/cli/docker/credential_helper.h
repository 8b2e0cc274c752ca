// docker-credential-NAME programs: one word as argument, a request on stdin, JSON on stdout.
#pragma once
#include <string_view>

#include "base/result.h"
#include "cli/docker/config.h"

namespace estiba::cli::docker {

/// Empty when the helper knows no login for the server.
Result<Credentials> credential_helper_get(std::string_view helper, std::string_view server);
Result<void> credential_helper_store(std::string_view helper, const Credentials& credentials);
Result<void> credential_helper_erase(std::string_view helper, std::string_view server);

}  // namespace estiba::cli::docker
