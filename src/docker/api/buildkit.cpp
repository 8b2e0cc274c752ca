// /session and /grpc: how BuildKit's clients (DOCKER_BUILDKIT=1, buildx) begin. They are answered as far as it takes for the user to read
// that this engine has a builder of its own, and how to use it.
#include "docker/api/routes.h"
#include "docker/daemon.h"
#include "docker/errors.h"

namespace estiba::docker {

namespace {

constexpr std::string_view advice =
    "this engine builds with a builder of its own, not with BuildKit: set DOCKER_BUILDKIT=0 for docker build, or use estiba build";

Result<void> check_upgrade(const io::Request& request) {
  if (request.wants_upgrade()) return {};
  return fail(Code::invalid, std::string(advice));
}

Task<void> refuse_call(io::Request& request, io::Response& response) {
  (void)co_await request.body(64 << 20);
  // A failure without a body ("Trailers-Only", gRPC over HTTP/2): 9 is FAILED_PRECONDITION.
  response.send(200,
                {{"Content-Type", "application/grpc"}, {"grpc-status", "9"}, {"grpc-message", io::percent_encode(advice, " ,:;=()-/")}});
}

Task<void> refuse_calls(io::StreamPtr stream) { co_await io::serve_http2(std::move(stream), {}, refuse_call); }

/// The client offers services; nobody calls them. It learns what is wrong from the answer to its build.
Task<void> hold(io::StreamPtr stream) {
  char bytes[4096];
  for (;;) {
    auto n = co_await stream->read(bytes, sizeof bytes);
    if (!n || *n == 0) co_return;
  }
}

Task<Result<void>> take_over(Daemon& daemon, ApiRequest& request, io::Response& response, Task<void> (*serve)(io::StreamPtr)) {
  CO_TRY(check_upgrade(request.http));
  (void)CO_TRY(co_await request.http.body());
  auto stream = CO_TRY(co_await response.upgrade(101, {{"Connection", "Upgrade"}, {"Upgrade", "h2c"}}));
  daemon.tasks().start(serve(std::move(stream)));
  co_return {};
}

Task<Result<void>> session(Daemon& daemon, ApiRequest& request, io::Response& response) {
  return take_over(daemon, request, response, hold);
}
Task<Result<void>> grpc(Daemon& daemon, ApiRequest& request, io::Response& response) {
  return take_over(daemon, request, response, refuse_calls);
}

}  // namespace

void add_buildkit_routes(Router& router) {
  router.post("/session", session);
  router.post("/grpc", grpc);
}

}  // namespace estiba::docker
