// The HTTP client: HTTP/1.1 with a pool of kept connections, HTTP/2 where the server offers it, TLS and unix sockets.
// A client belongs to one loop.
//
//   HttpClient client({.tls = tls, .bearer_token = token});
//   auto answer = CO_TRY(co_await client.fetch({.method = "GET", .url = "https://10.0.0.1:6443/api/v1/pods"}));
#pragma once
#include <memory>
#include <optional>
#include <string>

#include "base/task.h"
#include "io/http.h"
#include "io/stream.h"
#include "io/tls.h"

namespace estiba::io {

struct HttpClientOptions {
  TlsContextRef tls;         ///< for https; null: the system's roots, HTTP/1.1 and HTTP/2
  std::string unix_path;     ///< connects here whatever the URL's host says
  std::string bearer_token;  ///< sent as Authorization, unless the request has one
  std::string user_agent = "estiba";
  bool http2_prior_knowledge = false;  ///< speaks HTTP/2 at once where there is no TLS (gRPC on unix sockets)
  size_t max_idle_connections = 8;     ///< kept per origin
  size_t max_header_bytes = 64 * 1024;
  Duration connect_timeout = std::chrono::seconds(10);
  Duration idle_timeout = std::chrono::seconds(60);
};

/// A body that is made while it is sent.
class BodyStream {
 public:
  virtual ~BodyStream() = default;
  static constexpr uint64_t unknown = ~uint64_t{0};
  uint64_t length = 0;  ///< sent as Content-Length; exactly so many bytes come. `unknown`: sent in chunks (RFC 9112, 7.1)
  /// The next piece; empty only at the end. `sent` is the piece before, whose memory may be used again.
  virtual Task<Result<std::string>> next(std::string sent) = 0;
};

struct ClientRequest {
  std::string method = "GET";
  std::string url;  ///< absolute
  Headers headers;
  Body body;
  std::shared_ptr<BodyStream> stream;           ///< instead of `body`, by HTTP/1.1 only; such a request is never repeated by itself
  Duration timeout = std::chrono::seconds(30);  ///< until the answer's head; of fetch(): for the whole answer. 0: none
};

/// An answer whose body is read as it comes. Destroying it before the end gives the connection up.
class ClientResponse {
 public:
  virtual ~ClientResponse() = default;
  int status = 0;
  Headers headers;
  /// The next piece of the body; empty is its end. Code::unavailable if the connection breaks. `space` as in Request::read_body.
  virtual Task<Result<std::string>> read(std::string space = {}) = 0;
  /// The rest of the body; too_large beyond `limit`.
  Task<Result<std::string>> text(size_t limit);
};

struct FetchResult {
  int status = 0;
  Headers headers;
  std::string body;
};

struct UpgradeResult {
  int status = 0;  ///< 101; or the refusal's status, with its body in `refusal`
  Headers headers;
  StreamPtr stream;  ///< null when refused
  std::string refusal;
};

class HttpClient {
 public:
  explicit HttpClient(HttpClientOptions options);
  ~HttpClient();
  HttpClient(HttpClient&&) noexcept;
  HttpClient& operator=(HttpClient&&) noexcept;

  /// Sends and returns at the answer's head. A kept connection that turns out to be dead is replaced once, if the request may
  /// be repeated. Errors name the method and the URL.
  Task<Result<std::unique_ptr<ClientResponse>>> send(ClientRequest request);
  /// The whole answer, whatever its status.
  Task<Result<FetchResult>> fetch(ClientRequest request, size_t max_body = 64 * 1024 * 1024);
  /// Asks for an upgrade on a connection of its own (HTTP/1.1). The request carries Connection and Upgrade.
  Task<Result<UpgradeResult>> upgrade(ClientRequest request);

  void set_bearer_token(std::string token);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace estiba::io
