// The HTTP server: HTTP/1.1 and HTTP/2 over TLS, TCP and unix sockets, on one or several loops.
//
//   HttpServer server({&loop}, options, [](Request& request, Response& response) -> Task<void> {
//     response.send(200, {{"Content-Type", "text/plain"}}, "hello\n");
//     co_return;
//   });
//   TRY(server.listen_tcp("0.0.0.0", 6443, tls));
//
// A handler runs on the loop of its connection. Its task is dropped when the client goes away or the server closes, so
// what it must undo stands in destructors. An HTTP/1.1 client that shuts down its sending side while it waits for an
// answer counts as gone. A handler that returns without answering answers 500.
#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/task.h"
#include "io/http.h"
#include "io/stream.h"
#include "io/tls.h"

namespace estiba::io {

struct HttpServerOptions {
  size_t max_header_bytes = 64 * 1024;
  size_t max_headers = 200;
  size_t max_body_bytes = 3 * 1024 * 1024;    ///< of Request::body()
  size_t max_buffered_response = 256 * 1024;  ///< per streamed response, before write() waits
  uint32_t max_streams = 250;                 ///< concurrent, per HTTP/2 connection
  size_t max_connections = 20000;             ///< further ones are closed at once
  Duration handshake_timeout = std::chrono::seconds(10);
  Duration header_timeout = std::chrono::seconds(30);  ///< from the first byte of a request to its last header
  Duration idle_timeout = std::chrono::seconds(180);   ///< of a connection without requests
  std::string server_name;                             ///< the Server header; none when empty
};

/// What a connection offers to one request and its answer; HTTP/1.1, HTTP/2 and tests implement it.
class Exchange {
 public:
  virtual ~Exchange() = default;
  virtual Task<Result<std::string>> read_body(std::string space) = 0;
  virtual Task<Result<void>> start(int status, const Headers& headers, std::optional<size_t> length) = 0;
  virtual Task<Result<void>> write(Chunk chunk) = 0;
  virtual Task<Result<StreamPtr>> upgrade(int status, Headers headers) = 0;
};

class Request {
 public:
  std::string method;
  std::string target;    ///< as sent: raw path and query
  std::string raw_path;  ///< without the query, not decoded
  std::string path;      ///< decoded
  std::string raw_query;
  Query query;
  std::string host;  ///< the Host header or :authority
  Headers headers;
  int http_version = 11;  ///< 10, 11 or 20
  std::optional<size_t> content_length;

  /// Who asks: address, TLS, client certificate, unix credentials.
  const Peer& peer() const { return *peer_; }
  bool tls() const { return peer_->tls; }
  bool wants_upgrade() const { return headers.has_token("Connection", "upgrade") && headers.has("Upgrade"); }

  /// The whole body. Code::too_large beyond the limit (0: the server's).
  Task<Result<std::string>> body(size_t limit = 0);
  /// The next piece of the body; empty is its end. A long body may be read straight into the memory of `space` (its capacity), so
  /// that whoever reads in a loop and gives it back neither copies nor allocates.
  Task<Result<std::string>> read_body(std::string space = {});

  /// For tests and for dispatching in process.
  Request();
  Request(std::string method, std::string target, std::string body = {});
  /// Splits `target` into path and query; Code::malformed when its escapes are.
  Result<void> set_target(std::string target);

 private:
  friend class Response;
  friend class Http1Connection;
  friend class Http2ServerConnection;
  Exchange* exchange_ = nullptr;  // null: body_ is all there is
  std::string body_;
  size_t body_limit_ = 3 * 1024 * 1024;
  std::shared_ptr<const Peer> peer_;
};

class Response {
 public:
  /// The whole answer; it goes out when the handler returns. Calling it again replaces it, as long as start() was not
  /// called. Content-Length is added.
  void send(int status, Headers headers = {}, Body body = {});

  /// Begins a streamed answer and sends its head at once.
  Task<Result<void>> start(int status, Headers headers = {});
  /// Waits while the client is slower than the handler. An error means that the client has gone.
  Task<Result<void>> write(Chunk chunk);
  Task<Result<void>> write(std::string text) { return write(Chunk(std::move(text))); }
  // The streamed answer ends when the handler returns.
  /// A write() of the streamed answer fails once the client has taken nothing for so long; without this it waits for ever.
  void give_up_after(Duration patience) { patience_ = patience; }
  /// What was streamed is not the whole: the client finds the answer broken off instead of ended.
  void break_off() { broken_ = true; }
  bool broken() const { return broken_; }

  /// Ends HTTP on this connection (HTTP/1.1 only): answers `status` (101, or 200 as Docker's old clients want) and hands
  /// the bare stream over, with whatever the client sent after its head. The handler keeps running until it returns; the
  /// stream may outlive it.
  Task<Result<StreamPtr>> upgrade(int status, Headers headers);

  /// Whether send(), start() or upgrade() was called.
  bool begun() const { return sent_ || started_ || upgraded_; }
  bool started() const { return started_; }
  int status() const { return status_; }
  const Headers& headers() const { return headers_; }
  /// What send() was given; without a connection (tests), also what was streamed.
  const Body& body() const { return body_; }
  /// Adds a header to whatever answer comes: audit ids, warnings.
  void always(std::string name, std::string value) { always_.add(std::move(name), std::move(value)); }
  /// A field after the body of a streamed answer (grpc-status).
  void trailer(std::string name, std::string value) { trailers_.add(std::move(name), std::move(value)); }

 private:
  friend class Http1Connection;
  friend class Http2ServerConnection;
  Exchange* exchange_ = nullptr;
  bool sent_ = false, started_ = false, upgraded_ = false, broken_ = false;
  int status_ = 0;
  Headers headers_, always_, trailers_;
  Body body_;
  Duration patience_{};  // zero: none
};

using Handler = std::function<Task<void>(Request&, Response&)>;

/// Counters since the start, over all loops.
struct HttpServerStats {
  std::atomic<uint64_t> connections_accepted{0}, connections_open{0}, requests{0}, refused{0}, protocol_errors{0};
};

class HttpServer {
 public:
  /// `handler` is called on all the loops at once, and lives as long as the server.
  HttpServer(std::vector<Loop*> loops, HttpServerOptions options, Handler handler);
  /// Closes everything: call it on a loop of the server when it has only one, or after its loops have stopped, or use
  /// drain() first. Connections on other loops are closed by a message to them.
  ~HttpServer();

  /// Listens from now on; connections are spread over the loops in turn. `tls` null: plain HTTP. Any thread, before or
  /// while the loops run. Port 0 takes a free one, see port().
  Result<void> listen_tcp(const std::string& host, uint16_t port, TlsContextRef tls);
  Result<void> listen_unix(const std::string& path, unsigned mode = 0600);
  Result<void> listen(Listener listener, TlsContextRef tls);
  /// The port of the first TCP listener.
  uint16_t port() const;

  /// Stops listening, lets requests under way finish until `limit` has passed, then closes everything. Idle connections
  /// are closed at once; HTTP/2 clients get a GOAWAY.
  Task<void> drain(Duration limit);

  const HttpServerStats& stats() const;

 private:
  struct Shared;
  struct PerLoop;
  std::shared_ptr<Shared> shared_;
};

/// Serves HTTP/2 on a stream that is there already (an upgraded connection), until it ends.
Task<void> serve_http2(StreamPtr stream, HttpServerOptions options, Handler handler);

}  // namespace estiba::io
