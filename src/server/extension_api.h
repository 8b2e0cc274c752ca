// GET of what extension servers serve, by way of this server's own API: it is there that they are known and that answers are trusted.
#pragma once
#include "controllers/autoscaler_metrics.h"
#include "io/http_client.h"

namespace estiba::server {

class OwnExtensionApi final : public controllers::ExtensionApi {
 public:
  /// `url` without a path; `tls` holds the credentials. Used on one loop.
  OwnExtensionApi(std::string url, io::TlsContextRef tls) : url_(std::move(url)), tls_(std::move(tls)) {}

  Task<Result<std::string>> get(std::string path, std::vector<std::pair<std::string, std::string>> query) override;

 private:
  const std::string url_;
  const io::TlsContextRef tls_;
};

}  // namespace estiba::server
