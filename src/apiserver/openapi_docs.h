// /openapi/v2 and /openapi/v3: documents that are built when somebody first asks for them, and kept.
#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "io/http_server.h"

namespace estiba::apiserver {

class OpenApiDocs {
 public:
  explicit OpenApiDocs(std::string version);
  /// Answers a path below /openapi; false when there is no such document. Any thread.
  bool serve(std::string_view path, const io::Request& request, io::Response& response);

 private:
  struct Document {
    std::string content_type;
    std::string text;
  };
  using DocumentPtr = std::shared_ptr<const Document>;
  DocumentPtr find(std::string_view path, bool protobuf);
  DocumentPtr build(std::string_view path, bool protobuf) const;

  std::string version_;
  std::string hash_;  // of this version's documents
  std::mutex mutex_;
  std::map<std::string, DocumentPtr, std::less<>> documents_;  // guarded by mutex_
};

}  // namespace estiba::apiserver
