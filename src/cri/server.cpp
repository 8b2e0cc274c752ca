#include "cri/server.h"

#include "base/log.h"
#include "cri/services.h"

namespace estiba::cri {

Server::Server(Options options, io::Loop& loop, Parts parts)
    : options_(options), loop_(loop), runtime_(std::move(options), parts), grpc_(methods(runtime_)) {}
Server::~Server() = default;

Task<Result<void>> Server::start() {
  CO_TRY(co_await runtime_.start());
  CO_TRY(runtime_.streaming().listen(loop_, options_.stream_host));
  io::HttpServerOptions http;
  http.max_body_bytes = io::GrpcServer::message_limit;
  http_ = std::make_unique<io::HttpServer>(std::vector<io::Loop*>{&loop_}, http,
                                           [this](io::Request& request, io::Response& response) { return grpc_.serve(request, response); });
  CO_TRY(http_->listen_unix(options_.socket_path(), 0660));
  log::info("cri", "ready", {{"socket", options_.socket_path()}});
  co_return {};
}

Task<void> Server::stop() {
  if (http_) co_await http_->drain(std::chrono::milliseconds(500));
  http_.reset();
  co_await runtime_.streaming().stop();
  // What was begun is finished; what takes longer is undone or finished by the next server.
  (void)co_await with_timeout(std::chrono::seconds(5), grpc_.settle());
}

}  // namespace estiba::cri
