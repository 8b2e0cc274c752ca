#include "engine/remote.h"

namespace estiba::engine {

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

Task<void> follow_size(io::RemoteCommandServer* client, Session* session) {
  while (auto size = co_await client->next_resize()) (void)co_await session->resize(size->width, size->height);
}

Task<void> wait_gone(io::RemoteCommandServer* client, estiba::Event* gone) {
  co_await client->gone();
  gone->set();
}

Task<void> wait_exit(Session* session, std::optional<Result<int>>* code, estiba::Event* over) {
  *code = co_await session->wait();
  over->set();
}

}  // namespace

Task<void> join_remote(io::RemoteCommandServer& client, Session& session, io::RemoteCommandStreams streams) {
  estiba::Event over;
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

}  // namespace estiba::engine
