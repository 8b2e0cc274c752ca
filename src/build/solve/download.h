// ADD URL.
#pragma once
#include <string>

#include "base/result.h"
#include "base/task.h"

namespace estiba::io {
class Pool;
}

namespace estiba::build {

/// Fetches `url` (http or https, redirects are followed) to the new file `path`, whose time becomes Last-Modified, and returns its
/// digest. Errors name the URL.
Task<Result<std::string>> download_file(std::string url, std::string path, io::Pool& pool);

}  // namespace estiba::build
