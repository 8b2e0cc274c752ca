#include "cri/streaming.h"

#include "base/strings.h"
#include "engine/remote.h"
#include "io/port_forward.h"

namespace estiba::cri {

namespace {

constexpr Duration ticket_life = std::chrono::minutes(1);
constexpr size_t most_tickets = 1000;

constexpr std::string_view path_of(Streaming::Ticket::Kind kind) {
  switch (kind) {
    case Streaming::Ticket::Kind::exec: return "exec";
    case Streaming::Ticket::Kind::attach: return "attach";
    case Streaming::Ticket::Kind::port_forward: break;
  }
  return "portforward";
}

Task<Result<io::StreamPtr>> dial(engine::Engine* engine, std::string id, uint16_t port) {
  Fd fd = CO_TRY(co_await engine->dial(std::move(id), port));
  co_return io::stream_from_fd(fd.release());
}

}  // namespace

Result<void> Streaming::listen(io::Loop& loop, const std::string& host) {
  server_ =
      std::make_unique<io::HttpServer>(std::vector<io::Loop*>{&loop}, io::HttpServerOptions{},
                                       [this](io::Request& request, io::Response& response) { return handle(this, request, response); });
  TRY_AS("the streaming server", server_->listen_tcp(host, 0, nullptr));
  base_ = "http://" + io::Url{.scheme = "http", .host = host, .port = server_->port()}.authority();
  return {};
}

Task<void> Streaming::stop() {
  if (server_) co_await server_->drain(std::chrono::milliseconds(500));
  server_.reset();
}

void Streaming::forget_old() {
  std::erase_if(tickets_, [now = executor_.now()](const auto& entry) { return entry.second.until <= now; });
}

Result<std::string> Streaming::url(Ticket ticket) {
  forget_old();
  if (tickets_.size() >= most_tickets) return fail(Code::exhausted, "too many streaming requests wait to be opened; try again later");
  ticket.until = executor_.now() + ticket_life;
  const std::string token = base64url_encode(random_bytes(18));
  std::string url = base_ + "/" + std::string(path_of(ticket.kind)) + "/" + token;
  tickets_.emplace(token, std::move(ticket));
  return url;
}

Task<void> Streaming::handle(Streaming* self, io::Request& request, io::Response& response) {
  self->forget_old();
  const auto parts = split(request.path, '/');
  auto found = parts.size() == 3 ? self->tickets_.find(parts[2]) : self->tickets_.end();
  if (found == self->tickets_.end() || parts[1] != path_of(found->second.kind))
    co_return response.send(404, {{"Content-Type", "text/plain"}}, "no such stream: a URL is good for one request within a minute\n");
  Ticket ticket = std::move(found->second);
  self->tickets_.erase(found);
  if (ticket.kind != Ticket::Kind::port_forward) co_return co_await self->serve_session(request, response, std::move(ticket));
  engine::Engine* engine = &self->engine_;
  (void)co_await io::serve_port_forward(request, response, [engine, id = ticket.id](uint16_t port) { return dial(engine, id, port); });
}

Task<void> Streaming::serve_session(io::Request& request, io::Response& response, Ticket ticket) {
  auto client = co_await io::accept_remote_command(request, response, ticket.streams);
  if (!client) co_return;
  engine::ExecSpec spec;
  spec.command = ticket.command;
  spec.tty = ticket.streams.tty;
  spec.with_stdin = ticket.streams.in;
  spec.with_stdout = ticket.streams.out;
  spec.with_stderr = ticket.streams.err;
  Result<std::unique_ptr<engine::Session>> session;
  if (ticket.kind == Ticket::Kind::exec) session = co_await engine_.exec(ticket.id, std::move(spec));
  else session = co_await engine_.attach(ticket.id, ticket.streams.in);
  if (!session) {
    (void)co_await (*client)->finish_error(session.error().message);
    co_return;
  }
  co_await engine::join_remote(**client, **session, ticket.streams);
}

}  // namespace estiba::cri
