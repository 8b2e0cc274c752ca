// /openapi/v2 and /openapi/v3: documents that are built when somebody first asks for them, and kept until a definition of a
// custom kind or an extension server changes them. The version 3 documents of extension servers are theirs to answer.
#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "apiserver/aggregation/remote_discovery.h"
#include "io/http_server.h"
#include "model/catalog.h"

namespace estiba::apiserver {

class Aggregator;
class Cluster;

class OpenApiDocs {
 public:
  OpenApiDocs(const Cluster& cluster, const Aggregator& aggregator, std::string version);
  /// Answers a path below /openapi; false when there is no such document. Any thread.
  bool serve(std::string_view path, const io::Request& request, io::Response& response);

 private:
  struct Document {
    std::string content_type;
    std::string text;
    std::string hash;  ///< of what it says
  };
  using DocumentPtr = std::shared_ptr<const Document>;
  DocumentPtr find(std::string_view path, bool protobuf);
  DocumentPtr build(const model::Catalog& catalog, const RemoteVersions& remote, std::string_view path, bool protobuf) const;

  const Cluster& cluster_;
  const Aggregator& aggregator_;
  std::string version_;
  std::string hash_;  // of the built-in kinds' documents
  std::mutex mutex_;
  std::shared_ptr<const RemoteVersions> remote_;               // guarded by mutex_
  model::CatalogPtr catalog_;                                  // guarded by mutex_; what documents_ are made from
  std::map<std::string, DocumentPtr, std::less<>> documents_;  // guarded by mutex_
};

}  // namespace estiba::apiserver
