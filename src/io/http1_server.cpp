// The server's side of an HTTP/1.1 connection.
#include "base/log.h"
#include "base/strings.h"
#include "io/http_connection.h"
#include "io/tls_peer.h"

namespace estiba::io {

using namespace std::chrono_literals;

// What is left of a body is read and thrown away up to so many bytes; beyond that a new connection is cheaper.
constexpr size_t most_discarded = 256 * 1024;

Http1Connection::Http1Connection(ServerContext& context, StreamPtr stream)
    : context_(context), stream_(std::move(stream)), peer_(shared_peer(stream_->peer())), watchdog_([this] {
        if (stream_) stream_->close();
      }) {}

StreamPtr Http1Connection::take_stream() { return with_prefix(in_.take(), std::move(stream_)); }

void Http1Connection::drain() {
  draining_ = true;
  if (idle_ && stream_) stream_->close();
}

// --- reading requests ------------------------------------------------------------------------------------------------------

// What is not HTTP at all may never bring a line's end to wait for: clients that try TLS first would hang until their patience ends.
static Result<void> begins_a_method(char first) {
  if (first == 0x16) return fail(Code::malformed, "a TLS handshake came to a port that serves plain HTTP: use http://");
  if (first != '\r' && !is_http_token({&first, 1})) return fail(Code::malformed, "this is not an HTTP request");
  return {};
}

// Waits for a whole head and returns its length; 0: the client has left between requests.
Task<Result<size_t>> Http1Connection::read_head() {
  if (in_.empty()) {
    in_.release();
    idle_ = true;
    watchdog_.within(context_.options.idle_timeout);
    co_await stream_->readable();
    idle_ = false;
  }
  size_t searched = 0;
  bool waited = false;
  for (;;) {
    std::string_view bytes = in_.bytes();
    // Empty lines before a request are ignored (RFC 9112, 2.2).
    while (bytes.starts_with("\r\n")) {
      in_.consume(2);
      bytes = in_.bytes();
      searched = 0;
    }
    if (!bytes.empty()) CO_TRY(begins_a_method(bytes[0]));
    size_t end = find_head_end(bytes, searched);
    if (end != bytes.npos && end <= context_.options.max_header_bytes) {
      watchdog_.off();
      co_return end;
    }
    if (bytes.size() > context_.options.max_header_bytes)
      co_return fail(Code::too_large,
                     "the request's header is larger than " + std::to_string(context_.options.max_header_bytes) + " bytes");
    searched = bytes.size();
    if (!waited && !bytes.empty()) {
      watchdog_.within(context_.options.header_timeout);
      waited = true;
    }
    if (CO_TRY(co_await in_.fill(*stream_)) == 0) {
      if (in_.empty()) co_return 0;
      co_return fail(Code::unavailable, "the connection ended within a request's header");
    }
  }
}

Result<void> Http1Connection::parse_head(std::string_view head, Request& request) {
  size_t line_end = head.find("\r\n");
  RequestLine line = TRY(parse_request_line(head.substr(0, line_end)));
  request.headers = TRY(parse_header_lines(head.substr(line_end + 2), {context_.options.max_header_bytes, context_.options.max_headers}));
  request.method = line.method;
  request.http_version = version_ = line.version;
  std::string_view target = line.target;
  request.host = request.headers.get("Host");
  if (target.starts_with("http://") || target.starts_with("https://")) {
    Url url = TRY(Url::parse(target));
    request.host = url.authority();
    TRY(request.set_target(std::move(url.target)));
  } else {
    TRY(request.set_target(std::string(target)));
  }
  if (version_ == 11 && !request.headers.has("Host")) return fail(Code::malformed, "the Host header is missing");
  body_ = TRY(BodyReader::of_request(request.headers));
  request.content_length = body_.length();
  head_only_ = request.method == "HEAD";
  expects_continue_ = !body_.done() && version_ == 11 && equals_ignore_case(request.headers.get("Expect"), "100-continue");
  close_after_ = version_ == 10 ? !request.headers.has_token("Connection", "keep-alive") : request.headers.has_token("Connection", "close");
  request.exchange_ = this;
  request.peer_ = peer_;
  request.body_limit_ = context_.options.max_body_bytes;
  return {};
}

static int refusal_status(const Error& error) { return error.code == Code::too_large ? 431 : 400; }

Task<bool> Http1Connection::run() {
  for (;;) {
    auto head = co_await read_head();
    if (!head && (head.error().code == Code::too_large || head.error().code == Code::malformed))
      co_await refuse(refusal_status(head.error()), head.error().message);
    if (!head || *head == 0) co_return false;
    std::string_view bytes = in_.bytes().substr(0, *head);
    if (bytes == "PRI * HTTP/2.0\r\n\r\n") co_return true;
    Request request;
    auto parsed = parse_head(bytes, request);
    if (!parsed) {
      co_await refuse(refusal_status(parsed.error()), parsed.error().message);
      co_return false;
    }
    in_.consume(*head);
    if (in_.empty()) in_.release();  // so that a request that takes long holds no buffer
    context_.stats.requests.fetch_add(1, std::memory_order_relaxed);
    const bool goes_on = co_await serve(request);
    give_back(std::move(request.headers));
    if (!goes_on) co_return false;
  }
}

// Answers one request; false when the connection ends with it.
Task<bool> Http1Connection::serve(Request& request) {
  Response response;
  response.exchange_ = this;
  response_ = &response;
  handler_done_ = false;
  upgraded_ = chunked_ = false;
  {
    struct Run {
      static Task<void> go(Http1Connection* self, Request* request, Response* response) {
        co_await self->context_.handler(*request, *response);
        answer_if_none(*request, *response);
        self->handler_done_ = true;
        self->wake_.set();
      }
    };
    Started handling(Run::go(this, &request, &response));
    if (!handler_done_ && !co_await wait_for_handler(handling)) co_return false;
  }
  if (upgraded_) co_return false;
  settle_connection();
  auto sent = co_await finish(response);
  give_back(std::move(response.headers_));
  if (!sent) co_return false;
  const bool body_read = body_.done() || co_await discard_body();
  watchdog_.off();
  if (!close_after_ && body_read) co_return true;
  if (!body_read) co_await linger();
  co_return false;
}

// Waits until the handler has returned; false if the client went away first: then the handler is dropped.
Task<bool> Http1Connection::wait_for_handler(Started& handling) {
  // As long as the body comes, its reader learns of the end.
  if (body_.done() && !upgraded_) stream_->notify_hangup(&wake_);
  for (;;) {
    wake_.reset();
    co_await wake_.wait();
    if (handler_done_) break;
    if (upgraded_) continue;  // the stream's new owner minds it
    handling.cancel();
    stream_->close();
    co_return false;
  }
  if (stream_) stream_->notify_hangup(nullptr);
  co_return true;
}

Task<Result<std::string>> Http1Connection::read_body(std::string space) {
  if (upgraded_) co_return fail(Code::internal, "the connection was upgraded");
  if (body_.done()) co_return std::string();
  if (expects_continue_) {
    expects_continue_ = false;
    if (!response_->started()) CO_TRY(co_await stream_->write("HTTP/1.1 100 Continue\r\n\r\n"));
  }
  auto piece = co_await body_.next(in_, *stream_, std::move(space));
  if (!piece) close_after_ = body_broken_ = true;
  if (body_.done() && !handler_done_ && stream_) stream_->notify_hangup(&wake_);
  co_return piece;
}

// Says in the answer's head that the connection ends, where what is left of the body will not be read.
void Http1Connection::settle_connection() {
  bool long_body = handler_done_ && !body_.done() && body_.length().value_or(SIZE_MAX) > most_discarded;
  if (draining_ || long_body || (!body_.done() && expects_continue_)) close_after_ = true;
}

// Reads what the handler left of the body, as far as that is cheaper than a new connection.
Task<bool> Http1Connection::discard_body() {
  size_t discarded = 0;
  watchdog_.within(context_.options.header_timeout);
  while (!body_.done() && !body_broken_ && !expects_continue_ && discarded < most_discarded) {
    auto piece = co_await body_.next(in_, *stream_);
    if (!piece) co_return false;
    discarded += piece->size();
  }
  co_return body_.done();
}

// --- answering ---------------------------------------------------------------------------------------------------------------

std::string Http1Connection::head_text(int status, const Headers& headers, const Headers* always, std::optional<size_t> length) {
  std::string out;
  out.reserve(320);
  out.append(std::string_view("HTTP/1.1 ")).append(std::to_string(status)).append(1, ' ').append(status_text(status));
  out += std::string_view("\r\n");
  for (const Header& header : headers) append_header(out, header.name, header.value);
  if (always)
    for (const Header& header : *always) append_header(out, header.name, header.value);
  if (!headers.has("Date")) append_header(out, "Date", date_now());
  if (!context_.options.server_name.empty()) append_header(out, "Server", context_.options.server_name);
  if (length && !headers.has("Content-Length")) append_header(out, "Content-Length", std::to_string(*length));
  if (chunked_) append_header(out, "Transfer-Encoding", "chunked");
  if (close_after_) {
    append_header(out, "Connection", "close");
  } else if (version_ == 10) {
    append_header(out, "Connection", "keep-alive");
  }
  out += std::string_view("\r\n");
  return out;
}

static bool has_no_body(int status) { return status == 204 || status == 304 || status / 100 == 1; }

Task<Result<void>> Http1Connection::start(int status, const Headers& headers, std::optional<size_t>) {
  chunked_ = !headers.has("Content-Length") && version_ == 11 && !has_no_body(status);
  if (!headers.has("Content-Length") && version_ == 10) close_after_ = true;
  unsent_ = head_only_ ? 0 : parse_number<uint64_t>(headers.get("Content-Length")).value_or(0);
  settle_connection();
  std::string head = head_text(status, headers, &response_->always_, std::nullopt);
  co_return co_await stream_->write(head);
}

Task<Result<void>> Http1Connection::write(Chunk chunk) {
  if (upgraded_) co_return fail(Code::internal, "the connection was upgraded");
  if (head_only_ || chunk.size() == 0) co_return {};
  unsent_ -= std::min<uint64_t>(unsent_, chunk.size());
  const bool limited = response_->patience_ > Duration::zero();
  if (limited) watchdog_.within(response_->patience_);
  Result<void> written;
  if (!chunked_) {
    written = co_await stream_->write(chunk.bytes());
  } else {
    char size[24];
    int length = snprintf(size, sizeof size, "%zx\r\n", chunk.size());
    std::string_view parts[] = {{size, size_t(length)}, chunk.bytes(), "\r\n"};
    written = co_await stream_->write_parts(parts);
  }
  if (limited) watchdog_.off();
  co_return written;
}

Task<Result<void>> Http1Connection::finish(Response& response) {
  // A client that stops reading is given up: 16 KiB a second is the least that it must take.
  watchdog_.within(context_.options.idle_timeout + response.body_.size() / (16 * 1024) * 1s);
  if (response.started_) {
    // The client must not wait for what was announced and does not come.
    if (response.broken_) co_return fail(Code::internal, "the answer broke off");
    if (unsent_ > 0) co_return fail(Code::internal, "the answer is shorter than its Content-Length");
    if (!chunked_ || head_only_) co_return {};
    std::string last = "0\r\n";
    for (const Header& header : response.trailers_) append_header(last, header.name, header.value);
    last += "\r\n";
    co_return co_await stream_->write(last);
  }
  const Body& body = response.body_;
  std::optional<size_t> length;
  if (!has_no_body(response.status_)) length = body.size();
  std::string head = head_text(response.status_, response.headers_, &response.always_, length);
  if (head_only_ || body.size() == 0 || !length) co_return co_await stream_->write(head);
  if (body.chunks().size() == 1) {
    std::string_view parts[] = {head, body.chunks()[0].bytes()};
    co_return co_await stream_->write_parts(parts);
  }
  std::vector<std::string_view> parts;
  parts.reserve(body.chunks().size() + 1);
  parts.push_back(head);
  for (const Chunk& chunk : body.chunks()) parts.push_back(chunk.bytes());
  co_return co_await stream_->write_parts(parts);
}

Task<Result<StreamPtr>> Http1Connection::upgrade(int status, Headers headers) {
  if (!body_.done() && body_.kind() != BodyReader::Kind::length)
    co_return fail(Code::invalid, "a request with a chunked body cannot be upgraded");
  stream_->notify_hangup(nullptr);
  std::string head = "HTTP/1.1 " + std::to_string(status) + " " + std::string(status_text(status)) + "\r\n";
  for (const Header& header : headers) append_header(head, header.name, header.value);
  for (const Header& header : response_->always_) append_header(head, header.name, header.value);
  head += "\r\n";
  auto sent = co_await stream_->write(head);
  if (!sent) co_return std::unexpected(sent.error());
  upgraded_ = true;
  co_return take_stream();
}

// Refuses a request that cannot be understood, and ends the connection.
Task<void> Http1Connection::refuse(int status, std::string reason) {
  context_.stats.protocol_errors.fetch_add(1, std::memory_order_relaxed);
  close_after_ = true;
  chunked_ = false;
  reason += "\n";
  std::string text = head_text(status, {{"Content-Type", "text/plain; charset=utf-8"}}, nullptr, reason.size()) + reason;
  watchdog_.within(5s);
  if (co_await stream_->write(text)) co_await linger();
}

// A client that is still sending would lose the answer if the connection were reset under it.
Task<void> Http1Connection::linger() {
  watchdog_.within(2s);
  if (!co_await stream_->shutdown_write()) co_return;
  char discard[4096];
  for (size_t total = 0; total < 4 * 1024 * 1024;) {
    auto got = co_await stream_->read(discard, sizeof discard);
    if (!got || *got == 0) break;
    total += *got;
  }
}

}  // namespace estiba::io
