#include "server/node_proxy.h"

#include "apiserver/api_errors.h"
#include "base/strings.h"
#include "io/http_client.h"
#include "io/upgrade_proxy.h"
#include "io/websocket.h"

namespace estiba::server {

constexpr auto longest_start = std::chrono::seconds(5);  // of a node's API

Result<std::unique_ptr<HttpsNodeProxy>> HttpsNodeProxy::make(const Certificates& certificates) {
  io::TlsClientOptions options;
  options.ca_pem = certificates.ca.certificate_pem;
  options.certificate_pem = certificates.kubelet_client.certificate_pem;
  options.key_pem = certificates.kubelet_client.key_pem;
  return std::unique_ptr<HttpsNodeProxy>(new HttpsNodeProxy(TRY(io::make_tls_client(options))));
}

// What the node says in plain words, as clients of the API expect it: a Status.
static std::unexpected<Error> refusal(int status, std::string text) {
  text = trim(text);
  if (status == 400) return apiserver::bad_request(std::move(text));
  return fail(status == 404 ? Code::not_found : Code::internal, std::move(text));
}

// A log over a WebSocket, a message for each piece of it: the protocols that Kubernetes reads streams by.
namespace {

constexpr std::string_view base64_protocol = "base64.binary.k8s.io";

Task<void> send_log(io::WebSocket* socket, io::ClientResponse* log, Event* ended) {
  const bool encoded = socket->protocol() == base64_protocol;
  for (;;) {
    auto piece = co_await log->read();
    if (!piece || piece->empty()) break;
    auto sent = encoded ? co_await socket->write(base64_encode(*piece), true) : co_await socket->write(*piece);
    if (!sent) break;
  }
  ended->set();
}

Task<void> wait_for_close(io::WebSocket* socket, Event* ended) {
  for (;;) {
    auto message = co_await socket->read();
    if (!message || !*message) break;
  }
  ended->set();
}

Task<Result<void>> stream_log(io::Request& request, io::Response& response, io::ClientResponse& log) {
  auto socket = co_await io::accept_websocket(request, response, {"binary.k8s.io", std::string(base64_protocol), ""});
  if (!socket) co_return {};  // the refusal is the answer
  Event ended;
  {
    Job sender(send_log(socket->get(), &log, &ended)), reader(wait_for_close(socket->get(), &ended));
    co_await ended.wait();
  }
  co_await (*socket)->close();
  co_return {};
}

}  // namespace

// Whether to ask a node again that is being started anew and refuses connections for a moment: a restart is not to be seen.
static Task<bool> starts_soon(const Error& error, Instant end) {
  if (error.sys != ECONNREFUSED || Executor::current()->now() >= end) co_return false;
  co_await sleep_for(std::chrono::milliseconds(50));
  co_return true;
}

Task<Result<void>> HttpsNodeProxy::forward(apiserver::NodeTarget target, io::Request& request, io::Response& response) {
  static constexpr std::pair<std::string_view, std::string_view> verbs[] = {
      {"log", "containerLogs"}, {"exec", "exec"}, {"attach", "attach"}, {"portforward", "portForward"}};
  std::string_view verb;
  for (const auto& [subresource, name] : verbs)
    if (subresource == target.subresource) verb = name;
  if (target.address.empty()) co_return fail(Code::unavailable, "node " + target.node + " has no address yet");
  const std::string host = target.address.find(':') == std::string::npos ? target.address : "[" + target.address + "]";
  std::string url = "https://" + host + ":" + std::to_string(target.port) + "/" + std::string(verb) + "/" + target.ns + "/" + target.pod;
  if (!target.container.empty()) url += "/" + target.container;
  if (!request.raw_query.empty()) url += "?" + request.raw_query;
  // A client for each session: it may be long, and it ends with the session.
  io::HttpClient client({.tls = tls_, .max_idle_connections = 0});
  const Instant end = Executor::current()->now() + longest_start;
  while (verb != "containerLogs") {
    auto passed = co_await io::proxy_upgrade(request, response, client, url);
    if (passed || !co_await starts_soon(passed.error(), end)) co_return passed;
  }
  auto asked = co_await client.send({.url = url});
  while (!asked && co_await starts_soon(asked.error(), end)) asked = co_await client.send({.url = url});
  auto answer = CO_TRY(std::move(asked));
  if (answer->status != 200) {
    co_return refusal(answer->status, CO_TRY(co_await answer->text(1 << 20)));
  }
  if (io::is_websocket_request(request)) co_return co_await stream_log(request, response, *answer);
  if (auto started = co_await response.start(200, {{"Content-Type", "text/plain; charset=utf-8"}}); !started) co_return {};
  for (;;) {
    auto piece = co_await answer->read();
    if (!piece || piece->empty()) co_return {};
    if (auto written = co_await response.write(std::move(*piece)); !written) co_return {};
  }
}

}  // namespace estiba::server
