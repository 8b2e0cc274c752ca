// gRPC's server side over HTTP/2 (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md): methods with one request and one answer
// or a stream of them. Messages are bytes here.
//
//   GrpcServer grpc({{"/pkg.Service/Method", {handler}}, …});
//   HttpServer http({&loop}, {}, [&](Request& request, Response& response) { return grpc.serve(request, response); });
//
// What is no such method, no gRPC or no whole message is answered as gRPC says (unimplemented, 415, internal).
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/task.h"
#include "io/grpc.h"
#include "io/http_server.h"

namespace estiba::io {

/// One call, while its handler runs.
class GrpcServerCall {
 public:
  GrpcServerCall(std::string message, Response& response) : message(std::move(message)), response_(response) {}
  std::string message;  ///< the request
  /// Sends one message; waits while the client is slower. An error means that the client has gone.
  Task<Result<void>> send(std::string message);
  /// Lets the client know that the call was taken, before there is anything to send.
  Task<Result<void>> begin();

 private:
  Response& response_;
};

/// Returns how the call ended. The task is dropped when the client goes away.
using GrpcStreamHandler = std::function<Task<GrpcStatus>(GrpcServerCall& call)>;
/// The one answer, as bytes.
using GrpcUnaryHandler = std::function<Task<GrpcAnswer>(std::string message)>;

struct GrpcMethod {
  GrpcUnaryHandler unary;
  /// What is begun goes on to its end when the client goes away: for methods that change something.
  bool lasting = false;
  GrpcStreamHandler stream;  ///< instead of `unary`
};

class GrpcServer {
 public:
  /// By path, "/package.Service/Method".
  using Methods = std::map<std::string, GrpcMethod, std::less<>>;
  explicit GrpcServer(Methods methods) : methods_(std::move(methods)) {}

  Task<void> serve(Request& request, Response& response);
  /// Waits for lasting calls whose clients have gone.
  Task<void> settle() { return tasks_.join(); }

  /// A request with more bytes is refused with resource_exhausted.
  static constexpr size_t message_limit = 16 << 20;

 private:
  static Task<void> run_on(GrpcUnaryHandler handler, std::string message, std::shared_ptr<std::optional<GrpcAnswer>> answer,
                           std::shared_ptr<Event> done);
  Methods methods_;
  TaskGroup tasks_;
};

/// A message's frame: not compressed, its size, its bytes.
std::string grpc_frame(std::string_view message);
/// The status that says the same as an Error: not_found for not_found, unknown for what has no code of its own.
GrpcStatus grpc_status(const Error& error);

}  // namespace estiba::io
