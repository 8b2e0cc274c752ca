#include "io/http2_server.h"

#include "base/log.h"
#include "io/tls_peer.h"

namespace estiba::io {

struct Http2ServerConnection::ServerStream final : Http2Stream, Exchange {
  explicit ServerStream(Http2ServerConnection& server) : server(server) {}
  Http2ServerConnection& server;
  std::string method, scheme, path, authority;
  Request request;
  Response response;
  Job job;  // last: dropped before what the handler uses

  Task<Result<std::string>> read_body(std::string) override { return read_piece(); }
  Task<Result<void>> start(int status, const Headers& headers, std::optional<size_t>) override {
    if (closed) co_return http2_failure(error);
    submit(*this, status, headers, std::nullopt, request.method != "HEAD");
    co_return {};
  }
  Task<Result<void>> write(Chunk chunk) override {
    if (request.method == "HEAD") co_return {};
    const size_t most = server.context_.options.max_buffered_response;
    if (response.patience_ > Duration::zero() && out_bytes >= most && !closed) {
      if (!co_await with_timeout(response.patience_, wait_room(most))) {
        server.reset(*this, NGHTTP2_CANCEL);
        co_return fail(Code::timeout, "the client takes nothing of the answer");
      }
    }
    CO_TRY(co_await wait_room(most));
    push(std::move(chunk));
    co_return {};
  }
  Task<Result<StreamPtr>> upgrade(int, Headers) override {
    co_return fail(Code::unsupported, "an HTTP/2 connection cannot be upgraded; use HTTP/1.1 for this request");
  }
};

static Http2Settings settings_of(const HttpServerOptions& options) {
  return {
      .server = true, .max_streams = options.max_streams, .max_header_bytes = options.max_header_bytes, .max_headers = options.max_headers};
}

Http2ServerConnection::Http2ServerConnection(ServerContext& context, StreamPtr stream)
    : Http2Connection(std::move(stream), settings_of(context.options)),
      context_(context),
      peer_(shared_peer(this->stream().peer())),
      watchdog_([this] { close_stream(); }) {}

Task<void> Http2ServerConnection::run() {
  watchdog_.within(context_.options.idle_timeout);
  co_await run_connection();
}

void Http2ServerConnection::drain() {
  if (std::exchange(draining_, true)) return;
  nghttp2_submit_goaway(session(), NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session()), NGHTTP2_NO_ERROR, nullptr, 0);
  wake_writer();
  on_streams_changed();
}

void Http2ServerConnection::on_streams_changed() {
  if (opening_ > 0) {
    // Nothing else can come before that head's end, so that the limit is the connection's.
    if (!std::exchange(limits_head_, true)) watchdog_.within(context_.options.header_timeout);
    return;
  }
  limits_head_ = false;
  if (stream_count() > 0) {
    watchdog_.off();
  } else {
    // A moment for the last frames when draining.
    watchdog_.within(draining_ ? Duration(std::chrono::milliseconds(100)) : context_.options.idle_timeout);
  }
}

std::unique_ptr<Http2Stream> Http2ServerConnection::make_stream() {
  ++opening_;
  return std::make_unique<ServerStream>(*this);
}

bool Http2ServerConnection::pseudo_header(Http2Stream& base, std::string_view name, std::string_view value) {
  auto& stream = static_cast<ServerStream&>(base);
  if (name == ":method") stream.method = value;
  if (name == ":path") stream.path = value;
  if (name == ":authority") stream.authority = value;
  return true;
}

void Http2ServerConnection::on_head(Http2Stream& stream) {
  stream.head_complete = true;
  --opening_;
  ready_.push_back(stream.id);
}

void Http2ServerConnection::after_receive() {
  if (opening_ > 0 || limits_head_) on_streams_changed();
  auto ready = std::exchange(ready_, {});
  for (int32_t id : ready) {
    auto* stream = static_cast<ServerStream*>(nghttp2_session_get_stream_user_data(session(), id));
    if (stream && !stream->closed) begin(*stream);  // a stream that was reset in the same read never starts
  }
}

bool Http2ServerConnection::may_forget(Http2Stream& base) {
  auto& stream = static_cast<ServerStream&>(base);
  stream.job.cancel();  // the client has gone, or the handler has ended
  if (!std::exchange(stream.head_complete, true)) --opening_;
  return true;
}

void Http2ServerConnection::begin(ServerStream& stream) {
  Request& request = stream.request;
  Response& response = stream.response;
  request.exchange_ = &stream;
  response.exchange_ = &stream;
  request.peer_ = peer_;
  request.http_version = 20;
  request.body_limit_ = context_.options.max_body_bytes;
  request.method = std::move(stream.method);
  request.headers = std::move(stream.headers);
  request.host = stream.authority.empty() ? std::string(request.headers.get("Host")) : std::move(stream.authority);
  context_.stats.requests.fetch_add(1, std::memory_order_relaxed);
  auto parsed = request.set_target(std::move(stream.path));
  if (stream.too_many_headers || !parsed) {
    context_.stats.protocol_errors.fetch_add(1, std::memory_order_relaxed);
    response.send(stream.too_many_headers ? 431 : 400, {{"content-type", "text/plain"}},
                  stream.too_many_headers ? "the request's header is too large\n" : parsed.error().message + "\n");
  }
  if (auto length = BodyReader::of_request(request.headers); length && request.headers.has("Content-Length"))
    request.content_length = length->length();
  if (stream.in_ended && !request.content_length) request.content_length = stream.in.size();
  stream.job = Job(serve(&stream));
}

Task<void> Http2ServerConnection::serve(ServerStream* stream) {
  Response& response = stream->response;
  if (!response.begun()) {
    co_await stream->server.context_.handler(stream->request, response);
    answer_if_none(stream->request, response);
  }
  if (stream->closed) co_return;
  if (response.started_) {
    stream->out_broken = response.broken_;
    stream->trailers = std::move(response.trailers_);
    stream->end();
  } else {
    bool body = stream->request.method != "HEAD" && response.body_.size() > 0;
    for (const Chunk& chunk : response.body_.chunks()) stream->out.push_back(chunk);
    stream->out_bytes = response.body_.size();
    stream->out_ended = true;
    submit(*stream, response.status_, response.headers_, response.body_.size(), body);
  }
}

void Http2ServerConnection::submit(ServerStream& stream, int status, const Headers& headers, std::optional<size_t> length, bool body) {
  std::vector<nghttp2_nv> pairs;
  std::vector<std::string> names, always_names;
  pairs.reserve(headers.size() + 6);
  std::string status_text = std::to_string(status), length_text;
  pairs.push_back(http2_pair(":status", status_text));
  add_http2_headers(pairs, names, headers);
  add_http2_headers(pairs, always_names, stream.response.always_);
  if (!headers.has("Date")) pairs.push_back(http2_pair("date", date_now()));
  if (length && status != 204 && status != 304 && !headers.has("Content-Length")) {
    length_text = std::to_string(*length);
    pairs.push_back(http2_pair("content-length", length_text));
  }
  auto provider = stream.provider();
  nghttp2_submit_response(stream.connection->session(), stream.id, pairs.data(), pairs.size(), body ? &provider : nullptr);
  stream.connection->wake_writer();
}

}  // namespace estiba::io
