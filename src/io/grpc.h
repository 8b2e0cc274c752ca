// gRPC's client side over HTTP/2 (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md): unary calls and streams
// of answers. Messages are bytes here; who calls encodes them.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/task.h"
#include "io/http2_client.h"

namespace estiba::io {

/// gRPC's status codes (doc/statuscodes.md) that somebody here tells apart.
enum class GrpcCode : int {
  ok = 0,
  cancelled = 1,
  unknown = 2,
  invalid_argument = 3,
  deadline_exceeded = 4,
  not_found = 5,
  already_exists = 6,
  permission_denied = 7,
  resource_exhausted = 8,
  failed_precondition = 9,
  out_of_range = 11,
  unimplemented = 12,
  internal = 13,
  unavailable = 14,
  data_loss = 15,
  unauthenticated = 16,
};

/// How a call ended.
struct GrpcStatus {
  GrpcCode code = GrpcCode::ok;
  std::string message;
  bool from_server = false;  ///< the server said so; else the connection broke or the time was over
  bool sent = true;          ///< the server may have seen the request
  bool ok() const { return code == GrpcCode::ok; }
};

/// A stream of answers to one request. Dropping it cancels the call.
class GrpcStream {
 public:
  explicit GrpcStream(std::unique_ptr<Http2Answer> answer, size_t limit) : answer_(std::move(answer)), limit_(limit) {}
  /// The next message; nullopt at the end, whose reason status() then says.
  Task<std::optional<std::string>> next();
  const GrpcStatus& status() const { return status_; }

 private:
  bool take(std::string& message);
  void end(const Headers& fields);
  std::unique_ptr<Http2Answer> answer_;
  std::string in_;
  size_t at_ = 0;  ///< what of in_ has been taken
  size_t limit_;
  bool ended_ = false;
  GrpcStatus status_;
};

struct GrpcAnswer {
  GrpcStatus status;
  std::string message;  ///< when it is ok
};

struct GrpcOpening {
  GrpcStatus status;
  std::unique_ptr<GrpcStream> stream;  ///< when it is ok
};

/// One connection to one server, on the current loop.
class GrpcConnection {
 public:
  /// Connects to "http://host:port" or "https://host:port"; `tls` is for the latter. Code::timeout after `limit`.
  static Task<Result<std::unique_ptr<GrpcConnection>>> connect(Url url, TlsContextRef tls, Duration limit);
  /// The same by a unix socket.
  static Task<Result<std::unique_ptr<GrpcConnection>>> connect_unix(std::string path, Duration limit);
  explicit GrpcConnection(Url url, std::shared_ptr<Http2ClientConnection> http) : url_(std::move(url)), http_(std::move(http)) {}

  bool usable() { return http_->usable(); }
  /// Calls /service/method `path` with one message. `metadata` are further fields of the request.
  Task<GrpcAnswer> call(std::string path, std::string message, Headers metadata, Duration timeout);
  /// The same with any number of answers; returns when the server has begun to answer.
  Task<GrpcOpening> open(std::string path, std::string message, Headers metadata, Duration timeout);
  /// An answer with more bytes ends the call with resource_exhausted.
  static constexpr size_t message_limit = size_t{1} << 30;

 private:
  static Task<GrpcOpening> begin(GrpcConnection* self, std::string path, std::string message, Headers metadata);
  static Task<GrpcAnswer> exchange(GrpcConnection* self, std::string path, std::string message, Headers metadata);
  Url url_;
  std::shared_ptr<Http2ClientConnection> http_;
};

}  // namespace estiba::io
