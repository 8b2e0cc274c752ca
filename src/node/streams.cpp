#include "node/streams.h"

#include "engine/remote.h"

namespace estiba::node {

namespace {

io::RemoteCommandStreams streams_of(const io::Query& query) {
  auto set = [&](std::string_view kubelet, std::string_view api) { return query.flag(kubelet) || query.flag(api); };
  io::RemoteCommandStreams streams;
  streams.in = set("input", "stdin");
  streams.out = set("output", "stdout");
  streams.err = set("error", "stderr");
  streams.tty = query.flag("tty");
  if (streams.tty) streams.err = false;
  return streams;
}

}  // namespace

Task<void> serve_exec(const Context& context, io::Request& request, io::Response& response, std::string container_id) {
  const io::RemoteCommandStreams streams = streams_of(request.query);
  engine::ExecSpec spec;
  spec.command = request.query.all("command");
  spec.tty = streams.tty;
  spec.with_stdin = streams.in;
  spec.with_stdout = streams.out;
  spec.with_stderr = streams.err;
  if (spec.command.empty())
    co_return response.send(400, {{"Content-Type", "text/plain"}}, "you must specify at least 1 command for the container\n");
  auto client = co_await io::accept_remote_command(request, response, streams);
  if (!client) co_return;
  auto session = co_await context.engine.exec(container_id, std::move(spec));
  if (!session) {
    (void)co_await (*client)->finish_error(session.error().message);
    co_return;
  }
  co_await engine::join_remote(**client, **session, streams);
}

Task<void> serve_attach(const Context& context, io::Request& request, io::Response& response, std::string container_id) {
  const io::RemoteCommandStreams streams = streams_of(request.query);
  auto client = co_await io::accept_remote_command(request, response, streams);
  if (!client) co_return;
  auto session = co_await context.engine.attach(container_id, streams.in);
  if (!session) {
    (void)co_await (*client)->finish_error(session.error().message);
    co_return;
  }
  co_await engine::join_remote(**client, **session, streams);
}

Task<Result<io::StreamPtr>> dial_pod(engine::Engine* engine, std::string uid, uint16_t port) {
  Fd fd = CO_TRY(co_await engine->dial(uid, port));
  co_return io::stream_from_fd(fd.release());
}

ExitWatch::ExitWatch(Node& node, std::string container_id) : node_(node), id_(std::move(container_id)) {
  node_.add_exit_watch(this);
  auto status = node_.context().engine.container(id_);
  if (!status || status->state != engine::ContainerState::running) event_.set();
}

ExitWatch::~ExitWatch() { node_.remove_exit_watch(this); }

}  // namespace estiba::node
