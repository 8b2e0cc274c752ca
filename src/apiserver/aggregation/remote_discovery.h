// What extension servers say they serve: their discovery, to be merged with our own.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/aggregation/remote.h"

namespace estiba::apiserver {

/// One group and version of an extension server, as aggregated discovery lists it.
struct RemoteVersion {
  std::string group, version;
  int64_t group_priority = 0, version_priority = 0;
  std::string resources = "[]";  ///< JSON: the array APIVersionDiscovery.resources
  bool current = false;          ///< false: the server could not be asked; what is here is what it said last
  std::string openapi_v3;        ///< JSON: its row of /openapi/v3, or empty when it has none
  std::string openapi_v2;        ///< JSON: its part of /openapi/v2, or empty
  bool operator==(const RemoteVersion&) const = default;
};
using RemoteVersions = std::vector<RemoteVersion>;

/// From an APIGroupDiscoveryList; the version's `resources`, or nullopt when the list lacks it.
Result<std::optional<std::string>> resources_of_aggregated(std::string_view json, std::string_view group, std::string_view version);
/// From an APIResourceList: the same facts in the aggregated form.
Result<std::string> resources_of_legacy(std::string_view json);

/// Asks a server at `address` (host and port) what it serves. Errors when it cannot be asked or answers rubbish.
Task<Result<RemoteVersion>> discover_remote(RemotePtr remote, std::string address);
/// Whether it answers at all: GET of its group and version, within 5 s.
Task<Result<void>> probe_remote(RemotePtr remote, std::string address);

}  // namespace estiba::apiserver
