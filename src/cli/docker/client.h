// The client of a Docker daemon: blocking HTTP/1.1 over whatever reaches it (unix socket, TCP, TLS, ssh). A command sends few
// requests and waits for each, so that there is no loop here; whoever wants several at once takes a Client a thread.
//
//   Client client(endpoint);
//   json::Document list = TRY(client.call({.path = "/containers/json"}));
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/function.h"
#include "base/result.h"
#include "io/http.h"
#include "model/json.h"

namespace estiba::cli::docker {

/// Where a daemon is. `host` is written as in DOCKER_HOST: unix://PATH, tcp://HOST:PORT, ssh://[USER@]HOST.
struct Endpoint {
  std::string host;
  bool tls = false;         ///< of tcp://
  bool tls_verify = false;  ///< refuses a server that no CA here vouches for
  std::string ca_pem, certificate_pem, key_pem;
  std::string start_hint;  ///< how to start the daemon, said when nobody answers; may be empty
};

struct Request {
  std::string method = "GET";
  std::string path;  ///< without version: "/containers/json"; the client adds one when it must
  io::Query query = {};
  std::string body = {};
  io::Headers headers = {};  ///< Content-Type is application/json unless given, when there is a body
  /// When set, the body is what this returns until it returns an empty piece (sent chunked). An answer that comes before the end
  /// stops it, as a daemon does that refuses.
  UniqueFunction<Result<std::string>()> upload = nullptr;
};

class Client;
class Carrier;

/// An answer whose body is read as it comes.
class Response {
 public:
  Response(const Response&) = delete;
  ~Response();
  int status = 0;
  io::Headers headers;

  /// Waits for bytes of the body; 0 is its end, an error that the connection broke.
  Result<size_t> read(char* to, size_t size);
  /// The rest of the body.
  Result<std::string> text();
  /// For poll(2); only when buffered() is false does readiness say anything.
  int fd() const { return fd_.get(); }
  bool buffered() const { return at_ < buffer_.size(); }
  /// Gives the connection up at once.
  void close() { fd_.reset(); }

 private:
  friend class Client;
  enum class Kind : uint8_t { none, length, chunked, until_close };
  explicit Response(Client* client) : client_(client) {}
  Result<size_t> raw(char* to, size_t size);
  Result<std::string> line();
  Result<bool> next_chunk();

  Client* client_;
  Fd fd_;
  std::string buffer_;  // what was read beyond the head
  size_t at_ = 0;
  Kind kind_ = Kind::none;
  uint64_t left_ = 0;
  bool in_chunk_ = false, keep_ = false;
};

/// A connection that has become a stream of bytes (attach, exec).
struct Hijacked {
  Fd fd;
  std::string early;        ///< what came with the answer's head: read it first
  bool multiplexed = true;  ///< frames of stdout and stderr (no terminal)
};

class Client {
 public:
  explicit Client(Endpoint endpoint, io::Headers extra_headers = {});
  ~Client();
  Client(const Client&) = delete;

  const Endpoint& endpoint() const { return endpoint_; }

  /// Sends and returns at the answer's head, whatever its status.
  Result<std::unique_ptr<Response>> send(Request request);
  /// The whole answer as JSON (null when it is empty). A status from 400 on is an error "Error response from daemon: …" whose
  /// code follows from the status (404 not_found, 409 conflict, …).
  Result<json::Document> call(Request request);
  /// The same, as text.
  Result<std::string> text(Request request);
  /// send(), with a status from 400 on made an error as call() does.
  Result<std::unique_ptr<Response>> stream(Request request);
  /// Asks for an upgrade to a raw stream, on a connection of its own.
  Result<Hijacked> hijack(Request request);

 private:
  friend class Response;
  Result<Fd> connect();
  std::string head(const Request& request, bool hijack) const;
  Result<std::unique_ptr<Response>> exchange(Fd fd, Request& request, bool hijack, bool* untouched);

  Endpoint endpoint_;
  io::Headers extra_headers_;
  std::string prefix_;  // "/v1.41" when DOCKER_API_VERSION asks for it
  Fd idle_;             // a kept connection
  std::vector<std::unique_ptr<Carrier>> carriers_;
};

/// The error that an answer from 400 on stands for; reads its body.
Error daemon_error(Response& response);
/// The same from a body that was read.
Error daemon_error(int status, std::string_view body);

/// A container's output: frames of 8 bytes head and payload, or raw. Calls `out` with (1 or 2, bytes) until the end; an
/// `out` that returns false ends it early. Frames of stream 3 (errors of the daemon) become an error.
using Output = UniqueFunction<bool(int stream, std::string_view bytes)>;
class Demultiplexer {
 public:
  Demultiplexer(bool multiplexed, Output out) : raw_(!multiplexed), out_(std::move(out)) {}
  /// Takes in bytes as they came; false when `out` wants no more.
  Result<bool> feed(std::string_view bytes);

 private:
  bool raw_;
  Output out_;
  unsigned char head_[8];
  size_t have_ = 0;
  uint32_t left_ = 0;
  int stream_ = 1;
  std::string system_error_;
};

}  // namespace estiba::cli::docker
