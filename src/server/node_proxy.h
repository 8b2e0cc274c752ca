// Carries logs, exec, attach and port-forward from the API server to a node's own API over HTTPS.
#pragma once
#include "apiserver/node_proxy.h"
#include "io/tls.h"
#include "server/certificates.h"

namespace estiba::server {

class HttpsNodeProxy final : public apiserver::NodeProxy {
 public:
  /// Shows nodes the kubelet client certificate and accepts those that the cluster's CA has signed.
  static Result<std::unique_ptr<HttpsNodeProxy>> make(const Certificates& certificates);
  Task<Result<void>> forward(apiserver::NodeTarget target, io::Request& request, io::Response& response) override;
  io::TlsContextRef tls() const override { return tls_; }

 private:
  explicit HttpsNodeProxy(io::TlsContextRef tls) : tls_(std::move(tls)) {}
  io::TlsContextRef tls_;
};

}  // namespace estiba::server
