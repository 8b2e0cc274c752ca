// A reverse proxy: repeats a request at a backend, head and body, and gives back what the backend answers, upgrades included.
// Bodies stream both ways. The API server reaches pods, services, nodes and extension servers with it.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/task.h"
#include "io/http_client.h"
#include "io/http_server.h"

namespace estiba::io {

struct ReverseProxyOptions {
  std::string url;                  ///< absolute, with path and query
  Headers set;                      ///< replace what the client sent under the same names
  std::vector<std::string> remove;  ///< lower-case names that are not passed on; "impersonate-*" means all that begin so
  bool http2 = false;               ///< `client` speaks HTTP/2 to the backend: neither side waits for the other (gRPC)
  bool backend_host = false;        ///< sends the URL's authority as Host, not the client's
  /// Not empty: the proxy shows the backend's root under this path. Location fields and links in HTML that lead to the backend are
  /// rewritten to begin with it, and CORS fields of the answer are dropped (k8s.io/apimachinery/pkg/util/proxy).
  std::string prefix;
  bool refuse_redirects = false;                             ///< a redirection by the backend answers 502
  Duration head_timeout{};                                   ///< until the answer's head; then the error is Code::timeout. Zero: none
  std::optional<std::string> body;                           ///< the request's, when it has been read already
  std::function<bool(int status)> refused;                   ///< such an answer is not passed on: an error, Code::unavailable
  std::function<void(int status, Headers& headers)> answer;  ///< may change what the client is told
  bool* body_begun = nullptr;                                ///< becomes true when some of the request's body has been read
};

/// The header fields that a backend gets: without those that are the connection's own, with X-Forwarded-For.
Headers forwarded_headers(const Request& request, const ReverseProxyOptions& options);

/// Answers `request` with what the backend says. An error: the backend could not be reached, and nothing was answered yet.
/// An answer that breaks off later reaches the client broken off.
Task<Result<void>> reverse_proxy(Request& request, Response& response, HttpClient& client, ReverseProxyOptions options);

/// Where a reference on a page of the backend leads for clients of the proxy: paths from the root get `prefix` before them unless
/// they have it, if they are of the backend (`backend`, its authority) or of the host that the client asked (`asked`).
std::string rewrite_link(std::string_view reference, std::string_view prefix, std::string_view backend, std::string_view asked);

}  // namespace estiba::io
