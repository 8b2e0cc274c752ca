#include "node/streams.h"

#include <algorithm>

namespace estiba::node {

namespace {

Task<void> copy_output(io::RemoteCommandServer* client, Fd fd, bool error) {
  if (!fd) co_return;
  auto stream = io::stream_from_fd(fd.release());
  std::string buffer(16384, '\0');
  for (;;) {
    auto n = co_await stream->read(buffer.data(), buffer.size());
    if (!n || *n == 0) co_return;  // a terminal whose last process is gone gives EIO
    const std::string_view bytes(buffer.data(), *n);
    auto written = error ? co_await client->write_stderr(bytes) : co_await client->write_stdout(bytes);
    if (!written) co_return;
  }
}

Task<void> copy_input(io::RemoteCommandServer* client, Fd fd) {
  if (!fd) co_return;
  auto stream = io::stream_from_fd(fd.release());
  for (;;) {
    auto bytes = co_await client->read_stdin();
    if (!bytes || bytes->empty()) break;
    if (auto written = co_await stream->write(*bytes); !written) co_return;
  }
  stream->close();
}

Task<void> follow_size(io::RemoteCommandServer* client, engine::Session* session) {
  while (auto size = co_await client->next_resize()) (void)co_await session->resize(size->width, size->height);
}

Task<void> wait_gone(io::RemoteCommandServer* client, Event* gone) {
  co_await client->gone();
  gone->set();
}

Task<void> wait_exit(engine::Session* session, std::optional<Result<int>>* code, Event* over) {
  *code = co_await session->wait();
  over->set();
}

// Copies until the process has ended and its output has been read, or the client has gone.
Task<void> join(io::RemoteCommandServer& client, engine::Session& session, io::RemoteCommandStreams streams) {
  Event over;
  std::optional<Result<int>> code;
  TaskGroup outputs, others;
  if (streams.out) outputs.start(copy_output(&client, session.take_output(), false));
  if (streams.err && !streams.tty) outputs.start(copy_output(&client, session.take_error(), true));
  if (streams.in) others.start(copy_input(&client, session.take_input()));
  if (streams.tty) others.start(follow_size(&client, &session));
  others.start(wait_gone(&client, &over));
  others.start(wait_exit(&session, &code, &over));
  co_await over.wait();
  if (!code) co_return;
  // A process it left behind may hold the streams open: what has come by now is all there is.
  (void)co_await with_timeout(std::chrono::milliseconds(500), outputs.join());
  if (*code) (void)co_await client.finish(**code);
  else (void)co_await client.finish_error(code->error().message);
}

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
  if (spec.command.empty()) co_return response.send(400, {{"Content-Type", "text/plain"}}, "you must specify at least 1 command for the container\n");
  auto client = co_await io::accept_remote_command(request, response, streams);
  if (!client) co_return;
  auto session = co_await context.engine.exec(container_id, std::move(spec));
  if (!session) {
    (void)co_await (*client)->finish_error(session.error().message);
    co_return;
  }
  co_await join(**client, **session, streams);
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
  co_await join(**client, **session, streams);
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
