// What Docker's clients read of a container: GET /containers/{id}/json and the items of GET /containers/json.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "docker/containers.h"
#include "network/bridge/types.h"

namespace estiba::docker {

class JsonWriter;

/// Bytes of the writable layer, and of the whole root.
struct DiskSize {
  uint64_t writable = 0, root = 0;
};

/// What of its surroundings is shown with a container.
struct Shown {
  const Containers* containers = nullptr;
  std::optional<network::bridge::SandboxInfo> network;          ///< while it runs
  std::map<std::string, std::string, std::less<>> network_ids;  ///< of the networks it is to have, by name
  std::vector<std::string> layers;                              ///< directories of the image's layers, lowest first
  std::string root_dir;                                         ///< <data-dir>/containers/<id>
  std::string upper_dir;
  std::optional<DiskSize> size;
};

std::string inspect_json(const Container& container, const Shown& shown);
/// `image` is what stands in the Image column.
std::string summary_json(const Container& container, const Shown& shown, std::string_view image, WallTime now);
/// "Up 5 minutes (healthy)", "Exited (0) 2 hours ago".
std::string status_text(const Container& container, WallTime now);

}  // namespace estiba::docker
