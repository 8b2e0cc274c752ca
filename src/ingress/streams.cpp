#include "ingress/streams.h"

#include "base/log.h"
#include "base/strings.h"
#include "ingress/balance.h"
#include "ingress/client_hello.h"
#include "io/peek.h"

namespace estiba::ingress {

namespace {

// For what must come before anything is served: the PROXY protocol's header, a ClientHello.
constexpr Duration beginning_limit = std::chrono::seconds(10);
constexpr Duration connect_limit = std::chrono::seconds(5);

bool is_trusted(const std::vector<Prefix>& trusted, std::string_view peer) {
  if (trusted.empty()) return false;
  const auto address = Address::parse(host_of_end(peer));
  return address && std::ranges::any_of(trusted, [&](const Prefix& range) { return range.contains(*address); });
}

Task<Result<std::optional<ConnectionEnds>>> take_proxy_header(io::FreshSocket* socket) {
  for (size_t needed = 1;;) {
    const std::string bytes = CO_TRY(co_await socket->peek(needed, longest_proxy_header));
    const ProxyHeader header = CO_TRY(parse_proxy_header(bytes));
    needed = header.needed;
    if (header.length == 0) continue;
    CO_TRY(socket->discard(header.length));
    co_return header.ends;
  }
}

Task<Result<std::string>> look_at_server_name(io::FreshSocket* socket) {
  for (size_t needed = 1;;) {
    const std::string bytes = CO_TRY(co_await socket->peek(needed, longest_client_hello));
    const ClientHello hello = CO_TRY(parse_client_hello(bytes));
    needed = hello.needed;
    if (needed == 0) co_return hello.server_name;
  }
}

// How a connection begins.
struct Beginning {
  ConnectionEnds ends;
  std::string server_name;
};

Task<Result<void>> read_beginning(io::FreshSocket* socket, bool proxied, bool tls, Beginning* out) {
  if (proxied)
    if (auto ends = CO_TRY(co_await take_proxy_header(socket))) out->ends = std::move(*ends);
  if (tls) out->server_name = CO_TRY(co_await look_at_server_name(socket));
  co_return {};
}

Task<Result<io::StreamPtr>> connect_to(const Endpoint& endpoint) {
  const std::string host(host_of_end(endpoint.address));
  const auto port = parse_number<uint16_t>(std::string_view(endpoint.address).substr(endpoint.address.rfind(':') + 1)).value_or(0);
  auto made = co_await with_timeout(connect_limit, io::connect_tcp(host, port));
  if (!made) co_return fail(Code::timeout, "connect to " + endpoint.address + ": it does not answer");
  co_return std::move(*made);
}

// A connection of whose bytes no HTTP is read, to its end.
Task<void> pass_socket(StreamRoute route, io::TlsContextRef context, io::FreshSocket socket, ConnectionEnds ends) {
  io::StreamPtr client;
  if (context) {
    auto secured = co_await with_timeout(beginning_limit, io::tls_accept(std::move(context), socket.release()));
    if (!secured || !*secured) co_return;
    client = std::move(**secured);
  } else {
    client = io::stream_from_fd(socket.release());
  }
  co_await pass_stream(route.action, std::move(client), std::move(ends));
}

}  // namespace

Task<Result<std::unique_ptr<io::TlsStream>>> open_connection(ConfigPtr config, TaskGroup* sessions,
                                                             std::shared_ptr<const Openings> openings, int fd) {
  io::FreshSocket socket(fd);
  const auto found = config->ports.find(openings->port);
  if (found == config->ports.end()) co_return fail(Code::not_found, "the port is not served any more");
  const Port& port = found->second;
  Beginning beginning;
  if (!openings->trusted.empty() || !port.streams.empty()) beginning.ends = {socket.peer_address(), socket.local_address()};
  const bool proxied = is_trusted(openings->trusted, beginning.ends.source), by_name = port.tls && !port.streams.empty();
  if (proxied || by_name) CO_TRY(co_await read_beginning(&socket, proxied, by_name, &beginning));
  const StreamListener* listener = port.stream_of(beginning.server_name);
  if (!listener && !port.speaks_http()) co_return fail(Code::not_found, "no listener is for the connection");
  if (!listener) {
    std::string client = proxied ? beginning.ends.source : std::string();
    if (!port.tls) co_return io::opened(io::stream_from_fd(socket.release()), std::move(client));
    co_return io::opened(CO_TRY(co_await io::tls_accept(openings->handshake, socket.release())), std::move(client));
  }
  const StreamRoute* route = listener->find(beginning.server_name);
  if (!route) co_return fail(Code::not_found, "no route is for the connection");
  sessions->start(pass_socket(*route, listener->context, std::move(socket), std::move(beginning.ends)));
  co_return fail(Code::cancelled, "the connection is not HTTP's");
}

Task<void> pass_stream(std::shared_ptr<const Action> action, io::StreamPtr client, ConnectionEnds ends) {
  const Backend* backend = draw_backend(action->backends);
  if (!backend || backend->invalid) co_return;
  std::vector<EndpointPtr> tried;
  while (tried.size() < most_attempts) {
    const EndpointPtr endpoint = least_busy(backend->endpoints, tried, Executor::current()->now());
    if (!endpoint) co_return;
    tried.push_back(endpoint);
    Active active(endpoint);
    auto server = co_await connect_to(*endpoint);
    if (!server) {
      endpoint->health.unreachable(Executor::current()->now());
      log::info("ingress", "an endpoint cannot be reached", {{"endpoint", endpoint->address}, {"error", server.error()}});
      continue;
    }
    if (const std::string header = proxy_header(backend->proxy_protocol, ends); !header.empty())
      if (!co_await (*server)->write(header)) co_return;
    co_await io::copy_both_ways(*client, **server);
    co_return;
  }
}

}  // namespace estiba::ingress
