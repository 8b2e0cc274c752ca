// Seccomp profiles in Docker's format, as `--security-opt seccomp=<file>` takes them: OCI's, with conditions on capabilities, architecture
// and kernel. https://docs.docker.com/engine/security/seccomp/
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/json.h"

namespace estiba::engine {

/// `linux.seccomp` of the runtime specification for a container with these capabilities ("CAP_CHOWN") on this machine. Invalid, in Docker's
/// words, when the profile is none.
Result<json::Document> oci_seccomp(std::string_view profile, const std::vector<std::string>& capabilities);

}  // namespace estiba::engine
