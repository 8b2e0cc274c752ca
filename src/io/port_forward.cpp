#include "io/port_forward.h"

#include <map>

#include "base/strings.h"
#include "io/remote_command_impl.h"
#include "io/spdy.h"
#include "io/websocket.h"

namespace estiba::io {

using namespace std::chrono_literals;

namespace {

// Each connection that kubectl accepts is a pair of streams, "error" first and then "data", with one request id.
struct Pair {
  SpdyStreamPtr error, data;
};

// Carries one connection; its failure is told on the error stream.
Task<void> forward(Pair pair, PortDialer* dial) {
  auto port = parse_number<uint16_t>(pair.data->headers().get("port"));
  std::string failure;
  if (!port || *port == 0) {
    failure = "port " + quoted(pair.data->headers().get("port")) + " is not a port number";
  } else {
    auto target = co_await (*dial)(*port);
    if (target) {
      co_await copy_both_ways(*pair.data, **target);
    } else {
      failure = "error forwarding port " + std::to_string(*port) + ": " + target.error().message;
    }
  }
  if (!failure.empty() && !co_await pair.error->write(failure)) co_return;
  if (!co_await pair.error->shutdown_write()) co_return;
  co_await pair.data->shutdown_write();
}

std::string request_id(const SpdyStream& stream) {
  std::string id(stream.headers().get("requestID"));
  if (!id.empty()) return id;
  // Clients before 1.1 send none: the data stream follows its error stream.
  bool data = stream.headers().get("streamType") == "data";
  return "stream " + std::to_string(data ? stream.id() - 2 : stream.id());
}

Task<Result<void>> serve_session(StreamPtr stream, PortDialer dial) {
  SpdySession session(std::move(stream), true);
  std::map<std::string, Pair> incomplete;
  TaskGroup connections;
  for (;;) {
    auto next = co_await session.accept();
    if (!next) co_return {};
    std::string id = request_id(*next);
    std::string_view type = next->headers().get("streamType");
    if ((type != "error" && type != "data") || incomplete.size() > 1000) continue;  // dropping it resets it
    Pair& pair = incomplete[id];
    (type == "error" ? pair.error : pair.data) = std::move(next);
    if (!pair.error || !pair.data) continue;
    connections.start(forward(std::move(pair), &dial));
    incomplete.erase(id);
  }
}

}  // namespace

Task<Result<void>> serve_port_forward(Request& request, Response& response, PortDialer dial) {
  if (is_websocket_request(request)) {
    auto socket = CO_TRY(co_await accept_websocket(request, response, {"SPDY/3.1+portforward.k8s.io"}));
    co_return co_await serve_session(stream_over_websocket(std::move(socket)), std::move(dial));
  }
  std::string protocol = CO_TRY(negotiate_spdy_protocol(request, response, {"portforward.k8s.io"}));
  StreamPtr stream = CO_TRY(co_await upgrade_to_spdy(response, protocol));
  co_return co_await serve_session(std::move(stream), std::move(dial));
}

}  // namespace estiba::io
