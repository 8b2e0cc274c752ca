// Discovery: which groups, versions and resources are served. Legacy (one document a version) and aggregated (v2 and
// v2beta1, all in one), made from the catalog and from what
// extension servers say they serve.
#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "apiserver/aggregation/remote_discovery.h"
#include "model/catalog.h"

namespace estiba::apiserver {

struct DiscoveryDocument {
  std::string json;
  std::string etag;  ///< quoted; only aggregated documents
  std::string_view content_type;
};

class Discovery {
 public:
  /// `server_address` is what /api tells clients to use ("10.0.0.1:6443").
  Discovery(const model::Catalog& catalog, std::string_view server_address, const RemoteVersions& remote = {});

  /// The document of "/api", "/apis", "/api/v1", "/apis/apps", "/apis/apps/v1" as the Accept header wants it, or null.
  const DiscoveryDocument* find(std::string_view path, std::string_view accept) const;

 private:
  std::map<std::string, DiscoveryDocument, std::less<>> legacy_, v2_, v2beta1_;
};

class Aggregator;
class Cluster;

/// Discovery of what is served at the moment of asking; made anew when the definitions of custom kinds or extension servers have changed.
class LiveDiscovery {
 public:
  LiveDiscovery(const Cluster& cluster, const Aggregator& aggregator, std::string server_address)
      : cluster_(cluster), aggregator_(aggregator), server_address_(std::move(server_address)) {}

  /// Any thread; null: there is no such document.
  std::shared_ptr<const DiscoveryDocument> find(std::string_view path, std::string_view accept);

 private:
  struct Made {
    model::CatalogPtr catalog;
    std::shared_ptr<const RemoteVersions> remote;
    Discovery discovery;
  };

  const Cluster& cluster_;
  const Aggregator& aggregator_;
  std::string server_address_;
  std::mutex mutex_;
  std::shared_ptr<const Made> made_;  // guarded by mutex_
};

}  // namespace estiba::apiserver
