// Discovery: which groups, versions and resources are served. Legacy (one document a version) and aggregated (v2 and
// v2beta1, all in one), made once from the schema tables.
#pragma once
#include <map>
#include <string>
#include <string_view>

namespace estiba::apiserver {

struct DiscoveryDocument {
  std::string json;
  std::string etag;  ///< quoted; only aggregated documents
  std::string_view content_type;
};

class Discovery {
 public:
  /// `server_address` is what /api tells clients to use ("10.0.0.1:6443").
  explicit Discovery(std::string_view server_address);

  /// The document of "/api", "/apis", "/api/v1", "/apis/apps", "/apis/apps/v1" as the Accept header wants it, or null.
  const DiscoveryDocument* find(std::string_view path, std::string_view accept) const;

 private:
  std::map<std::string, DiscoveryDocument, std::less<>> legacy_, v2_, v2beta1_;
};

}  // namespace estiba::apiserver
