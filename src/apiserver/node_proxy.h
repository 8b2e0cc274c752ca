// How the API server reaches a pod's node for logs, exec, attach and port-forward. The wiring implements it: in this
// process, or over HTTPS to the node's own API.
#pragma once
#include <string>

#include "base/task.h"
#include "io/http_server.h"

namespace estiba::apiserver {

struct NodeTarget {
  std::string node;       ///< the Node's name
  std::string address;    ///< its InternalIP, or ""
  uint16_t port = 10250;  ///< of its API
  std::string ns, pod, uid;
  std::string container;    ///< as asked, or the pod's only (or default) one; empty for port-forward
  std::string subresource;  ///< log, exec, attach, portforward
};

class NodeProxy {
 public:
  virtual ~NodeProxy() = default;
  /// Answers the request itself, streaming or upgraded. An error: nothing was answered, because the node could
  /// not be reached or refuses the request in words that the error holds.
  virtual Task<Result<void>> forward(NodeTarget target, io::Request& request, io::Response& response) = 0;
  /// What the node's own API is reached with: the API server's client certificate and the CA of nodes' certificates.
  virtual io::TlsContextRef tls() const = 0;
};

}  // namespace estiba::apiserver
