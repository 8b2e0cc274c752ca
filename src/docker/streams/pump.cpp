#include "docker/streams/pump.h"

#include "docker/streams/detach_keys.h"

namespace estiba::docker {

namespace {
constexpr size_t piece_size = 64 * 1024;

io::StreamPtr stream_of(Fd fd) { return fd ? io::stream_from_fd(fd.release()) : nullptr; }
}  // namespace

Pump::Pump(std::unique_ptr<engine::Session> session, std::shared_ptr<Client> client, PumpOptions options)
    : session_(std::move(session)), client_(std::move(client)), options_(std::move(options)) {
  outputs_[0] = {stream_of(session_->take_output()), Channel::out};
  outputs_[1] = {stream_of(session_->take_error()), Channel::err};
  Fd input = session_->take_input();
  if (options_.in) input_ = stream_of(std::move(input));
}

Pump::~Pump() {
  tasks_.cancel();
  if (client_) client_->close();
}

void Pump::end(PumpEnd how) {
  if (end_) return;
  end_ = how;
  ended_.set();
}

bool Pump::outputs_ended() const {
  for (const Output& output : outputs_)
    if (output.stream && !output.ended) return false;
  return true;
}

Task<void> Pump::copy_output(Pump* self, Output* output) {
  std::string buffer(piece_size, '\0');
  const bool wanted = output->channel == Channel::out ? self->options_.out : self->options_.err;
  for (;;) {
    output->reading = true;
    auto n = co_await output->stream->read(buffer.data(), buffer.size());
    output->reading = false;
    if (!n || *n == 0) break;
    ++self->moved_;
    if (!wanted || self->end_) continue;
    if (!co_await self->client_->write(output->channel, std::string_view(buffer.data(), *n))) self->end(PumpEnd::gone);
  }
  output->ended = true;
  self->progress_.set();
}

Task<void> Pump::copy_input(Pump* self) {
  DetachKeys keys(self->options_.detach_keys);
  const bool detachable = self->options_.tty && !self->options_.detach_keys.empty();
  for (;;) {
    auto bytes = co_await self->client_->read();
    if (!bytes) co_return self->end(PumpEnd::gone);
    if (bytes->empty()) break;
    if (detachable) *bytes = keys.filter(*bytes);
    // A process that has closed its input still may say something.
    if (self->input_ && !bytes->empty() && !co_await self->input_->write(*bytes)) self->input_.reset();
    if (keys.detached()) co_return self->end(PumpEnd::detached);
  }
  if (!self->options_.tty) self->input_.reset();
}

Task<void> Pump::wait_exit(Pump* self) {
  self->exit_ = co_await self->session_->wait();
  self->exited_.set();
  self->progress_.set();
}

// Once the process has ended: what is in its streams, and what those it left behind still say without a pause.
Task<void> Pump::rest_of_output() {
  uint64_t moved = moved_;
  while (!outputs_ended() && !end_) {
    progress_.reset();
    if (co_await progress_.wait_for(options_.silence)) continue;
    // A client that is slow is no silence.
    bool waiting = moved == moved_;
    for (const Output& output : outputs_)
      if (output.stream && !output.ended && !output.reading) waiting = false;
    if (waiting) break;
    moved = moved_;
  }
}

Task<PumpEnd> Pump::run() {
  for (Output& output : outputs_)
    if (output.stream) tasks_.start(copy_output(this, &output));
  if (options_.in) tasks_.start(copy_input(this));
  tasks_.start(wait_exit(this));
  struct Watch {
    static Task<void> over(Pump* self) {
      co_await self->exited_.wait();
      co_await self->rest_of_output();
      self->end(PumpEnd::over);
    }
  };
  tasks_.start(Watch::over(this));
  co_await ended_.wait();
  if (*end_ == PumpEnd::gone) client_->close();
  else co_await client_->finish();
  input_.reset();
  co_return *end_;
}

Task<Result<int>> Pump::finish() {
  co_await exited_.wait();
  co_return *exit_;
}

}  // namespace estiba::docker
