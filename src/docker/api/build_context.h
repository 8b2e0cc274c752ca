// What POST /build is to build from.
#pragma once
#include <string>

#include "base/task.h"
#include "build/solve/builder.h"
#include "docker/router.h"

namespace estiba::docker {

/// What `estiba build` calls its body, and the header by which ping says that directories may be offered (docs/builder.md).
inline constexpr std::string_view own_build_type = "application/vnd.estiba.build";
inline constexpr std::string_view context_header = "Estiba-Context";

/// Reads the request's tar, the directory that our client offers instead, or what `remote` names, and what our client sends before it.
/// `directory` is the build's own. A directory that cannot be reached is a conflict, and the answer says so by its header.
Task<Result<void>> read_build_context(Daemon& daemon, ApiRequest& request, io::Response& response, const std::string& directory,
                                      build::BuildRequest& out);

}  // namespace estiba::docker
