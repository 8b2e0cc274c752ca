#include "io/grpc_server.h"

namespace estiba::io {

namespace {

const Headers& grpc_type() {
  static const Headers type{{"content-type", "application/grpc"}};
  return type;
}

/// The status may hold any bytes but its message must be printable ASCII: gRPC escapes the rest, and '%'.
std::string escaped(std::string_view message) { return percent_encode(message, " !\"#$&'()*+,/:;<=>?@[\\]^`{|}"); }

void refuse(Response& response, const GrpcStatus& status) {
  Headers fields = grpc_type();
  fields.add("grpc-status", std::to_string(int(status.code)));
  if (!status.message.empty()) fields.add("grpc-message", escaped(status.message));
  response.send(200, std::move(fields));
}

void conclude(Response& response, const GrpcStatus& status) {
  if (!response.started()) return refuse(response, status);
  response.trailer("grpc-status", std::to_string(int(status.code)));
  if (!status.message.empty()) response.trailer("grpc-message", escaped(status.message));
}

/// The one message of a request's body.
std::variant<std::string, GrpcStatus> unframed(std::string body) {
  if (body.size() < 5) return GrpcStatus{GrpcCode::internal, "the request has no message"};
  if (body[0] != 0) return GrpcStatus{GrpcCode::unimplemented, "compressed messages are not taken"};
  uint32_t size = 0;
  for (int i = 1; i < 5; ++i) size = size << 8 | uint8_t(body[size_t(i)]);
  if (body.size() != 5 + size_t(size)) return GrpcStatus{GrpcCode::internal, "the request is not one whole message"};
  return body.substr(5);
}

}  // namespace

std::string grpc_frame(std::string_view message) {
  std::string out(1, '\0');
  for (int shift = 24; shift >= 0; shift -= 8) out += char(message.size() >> shift);
  out += message;
  return out;
}

GrpcStatus grpc_status(const Error& error) {
  switch (error.code) {
    case Code::invalid:
    case Code::malformed: return {GrpcCode::invalid_argument, error.message};
    case Code::unauthorized: return {GrpcCode::unauthenticated, error.message};
    case Code::forbidden: return {GrpcCode::permission_denied, error.message};
    case Code::not_found: return {GrpcCode::not_found, error.message};
    case Code::already_exists: return {GrpcCode::already_exists, error.message};
    case Code::conflict: return {GrpcCode::failed_precondition, error.message};
    case Code::unsupported: return {GrpcCode::unimplemented, error.message};
    case Code::too_large:
    case Code::exhausted: return {GrpcCode::resource_exhausted, error.message};
    case Code::unavailable: return {GrpcCode::unavailable, error.message};
    case Code::timeout: return {GrpcCode::deadline_exceeded, error.message};
    case Code::cancelled: return {GrpcCode::cancelled, error.message};
    case Code::gone:
    case Code::internal: break;
  }
  return {GrpcCode::unknown, error.message};
}

Task<Result<void>> GrpcServerCall::begin() {
  if (!response_.started()) co_return co_await response_.start(200, grpc_type());
  co_return {};
}

Task<Result<void>> GrpcServerCall::send(std::string message) {
  CO_TRY(co_await begin());
  co_return co_await response_.write(grpc_frame(message));
}

Task<void> GrpcServer::run_on(GrpcUnaryHandler handler, std::string message, std::shared_ptr<std::optional<GrpcAnswer>> answer,
                              std::shared_ptr<Event> done) {
  answer->emplace(co_await handler(std::move(message)));
  done->set();
}

Task<void> GrpcServer::serve(Request& request, Response& response) {
  const std::string_view type = request.headers.get("content-type");
  if (request.http_version != 20 || request.method != "POST" || !type.starts_with("application/grpc"))
    co_return response.send(415, {{"Content-Type", "text/plain"}}, "this socket speaks gRPC over HTTP/2\n");
  const auto found = methods_.find(request.path);
  if (found == methods_.end()) co_return refuse(response, {GrpcCode::unimplemented, "unknown method " + request.path});
  auto body = co_await request.body(message_limit);
  if (!body) co_return refuse(response, grpc_status(body.error()));
  auto message = unframed(std::move(*body));
  if (auto* bad = std::get_if<GrpcStatus>(&message)) co_return refuse(response, *bad);
  const GrpcMethod& method = found->second;
  GrpcServerCall call(std::move(std::get<std::string>(message)), response);
  if (method.stream) co_return conclude(response, co_await method.stream(call));
  auto answer = std::make_shared<std::optional<GrpcAnswer>>();
  auto done = std::make_shared<Event>();
  if (method.lasting) {
    tasks_.start(run_on(method.unary, std::move(call.message), answer, done));
    co_await done->wait();
  } else {
    co_await run_on(method.unary, std::move(call.message), answer, done);
  }
  if ((*answer)->status.ok() && !co_await call.send(std::move((*answer)->message))) co_return;
  conclude(response, (*answer)->status);
}

}  // namespace estiba::io
