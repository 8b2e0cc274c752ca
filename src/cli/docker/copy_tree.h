// Trees of local files to and from tar archives, for `docker cp`.
#pragma once
#include <cstdint>
#include <string>

#include "base/function.h"
#include "base/result.h"
#include "cli/docker/client.h"

namespace estiba::cli::docker {

struct ExtractOptions {
  std::string rename_root;  ///< what the archive's first path component becomes; empty: it is left out
  bool keep_owner = false;  ///< owners as in the archive, else this user
};
/// Unpacks the body into `directory`. The archive may be hostile: nothing outside is touched, whatever its names and links are.
/// Device nodes are left out. Returns the bytes of the archive.
Result<uint64_t> extract(Response& body, const std::string& directory, const ExtractOptions& options);

struct PackOptions {
  bool follow_root = false;  ///< `path` itself may be a symlink that is followed
};
/// Pieces of a tar of `path`, whose first component is `root` (empty: the content of a directory alone); `sent` counts the
/// bytes. Links below stay links; sockets are left out.
UniqueFunction<Result<std::string>()> pack(const std::string& path, const std::string& root, PackOptions options, uint64_t* sent);

}  // namespace estiba::cli::docker
