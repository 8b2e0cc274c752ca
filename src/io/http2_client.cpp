#include "io/http2_client.h"

#include "base/strings.h"

namespace estiba::io {

struct Http2ClientConnection::ClientStream final : Http2Stream {
  int status = 0;
  Event head_came;
  bool released = false;  // nobody holds the answer any more
};

// Holds a stream of a connection; letting go of it resets the stream unless it has ended.
class Http2ClientConnection::Answer final : public Http2Answer {
 public:
  Answer(std::shared_ptr<Http2ClientConnection> connection, ClientStream* stream) : connection_(std::move(connection)), stream_(stream) {}
  ~Answer() override {
    stream_->released = true;
    if (stream_->closed) {
      connection_->sweep();
    } else {
      connection_->reset(*stream_, NGHTTP2_CANCEL);
    }
  }
  Task<Result<void>> wait_head() {
    while (!stream_->head_complete) {
      if (stream_->closed) co_return stream_->failure();
      stream_->head_came.reset();
      co_await stream_->head_came.wait();
    }
    status = stream_->status;
    headers = std::move(stream_->headers);
    co_return {};
  }
  Task<Result<std::string>> read(std::string) override { return stream_->read_piece(); }
  const Headers& trailers() const override { return stream_->received_trailers; }
  bool at_hand() const override { return stream_->in_ended && stream_->received_trailers.empty(); }
  void send_body(std::shared_ptr<BodyStream> source) { sending_ = Job(pump(stream_, std::move(source))); }

 private:
  static Task<void> pump(ClientStream* stream, std::shared_ptr<BodyStream> source) {
    for (;;) {
      auto piece = co_await source->next({});
      if (!piece) {
        // Whoever reads must not take what has come for the whole.
        stream->connection->reset(*stream, NGHTTP2_CANCEL);
        co_return;
      }
      if (piece->empty()) co_return stream->end();
      if (!co_await stream->wait_room(most_queued)) co_return;
      stream->push(std::move(*piece));
    }
  }

  static constexpr size_t most_queued = 256 * 1024;
  std::shared_ptr<Http2ClientConnection> connection_;
  ClientStream* stream_;
  Job sending_;  // last: ends first
};

Http2ClientConnection::Http2ClientConnection(StreamPtr stream, Duration idle_timeout)
    : Http2Connection(std::move(stream), {.server = false}), idle_timeout_(idle_timeout), watchdog_([this] { close_stream(); }) {}

void Http2ClientConnection::start() { job_ = Job(run(this)); }

Task<void> Http2ClientConnection::run(Http2ClientConnection* self) {
  co_await self->run_connection();
  self->ended_ = true;
  self->close_stream();
  self->close_all();
  self->watchdog_.off();
}

bool Http2ClientConnection::usable() { return !ended_ && nghttp2_session_check_request_allowed(session()); }

std::unique_ptr<Http2Stream> Http2ClientConnection::make_stream() { return std::make_unique<ClientStream>(); }

bool Http2ClientConnection::pseudo_header(Http2Stream& base, std::string_view name, std::string_view value) {
  if (name == ":status") static_cast<ClientStream&>(base).status = parse_number<int>(value).value_or(0);
  return true;
}

void Http2ClientConnection::on_head(Http2Stream& base) {
  auto& stream = static_cast<ClientStream&>(base);
  if (stream.status / 100 == 1) {
    stream.headers.clear();
    return;
  }
  stream.head_complete = true;
  stream.head_came.set();
}

bool Http2ClientConnection::may_forget(Http2Stream& base) {
  auto& stream = static_cast<ClientStream&>(base);
  stream.head_came.set();
  return stream.released;
}

void Http2ClientConnection::on_streams_changed() {
  if (stream_count() > 0) {
    watchdog_.off();
  } else {
    watchdog_.within(idle_timeout_);
  }
}

Task<Result<std::unique_ptr<Http2Answer>>> Http2ClientConnection::send(std::string method, Url url, Headers headers, Body body,
                                                                       std::shared_ptr<BodyStream> source) {
  if (!usable()) co_return fail(Code::unavailable, "the connection has ended");
  auto stream = std::make_unique<ClientStream>();
  stream->keep_trailers = true;
  const std::string* host = headers.find("Host");
  const std::string authority = host ? *host : url.authority();
  std::vector<nghttp2_nv> pairs = {http2_pair(":method", method), http2_pair(":scheme", url.scheme), http2_pair(":authority", authority),
                                   http2_pair(":path", url.target)};
  std::vector<std::string> names;
  add_http2_headers(pairs, names, headers);
  for (const Chunk& chunk : body.chunks()) stream->out.push_back(chunk);
  stream->out_bytes = body.size();
  stream->out_ended = !source;
  auto provider = stream->provider();
  const bool has_body = source || body.size() > 0;
  int32_t id = nghttp2_submit_request(session(), nullptr, pairs.data(), pairs.size(), has_body ? &provider : nullptr, stream.get());
  if (id < 0) co_return fail(Code::unavailable, std::string("the request cannot be sent: ") + nghttp2_strerror(id));
  ClientStream* mine = stream.get();
  adopt(id, std::move(stream));
  auto answer = std::make_unique<Answer>(shared_from_this(), mine);
  if (source) answer->send_body(std::move(source));
  wake_writer();
  CO_TRY(co_await answer->wait_head());
  co_return std::unique_ptr<Http2Answer>(std::move(answer));
}

}  // namespace estiba::io
