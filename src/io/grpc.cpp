#include "io/grpc.h"

#include "base/strings.h"

namespace estiba::io {

namespace {

constexpr Duration idle_timeout = std::chrono::minutes(5);

uint32_t big_endian(const char* bytes) {
  uint32_t out = 0;
  for (int i = 0; i < 4; ++i) out = out << 8 | uint8_t(bytes[i]);
  return out;
}

// A message's frame: not compressed, its size, its bytes.
std::string framed(std::string_view message) {
  std::string out(1, '\0');
  for (int shift = 24; shift >= 0; shift -= 8) out += char(message.size() >> shift);
  out += message;
  return out;
}

GrpcStatus broken(const Error& error, bool sent) { return {GrpcCode::unavailable, error.message, false, sent}; }

GrpcStatus timed_out(Duration limit) {
  auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(limit).count();
  return {GrpcCode::deadline_exceeded, "no answer within " + std::to_string(ms) + " ms", false, true};
}

}  // namespace

bool GrpcStream::take(std::string& message) {
  std::string_view rest = std::string_view(in_).substr(at_);
  if (rest.size() < 5) return false;
  const uint32_t size = big_endian(rest.data() + 1);
  if (rest[0] != 0 || size > limit_) {
    status_ = rest[0] != 0
                  ? GrpcStatus{GrpcCode::internal, "the server sent a compressed message, which was not asked for", false}
                  : GrpcStatus{GrpcCode::resource_exhausted, "an answer of " + std::to_string(size) + " bytes is too large", false};
    ended_ = true;
    answer_.reset();
    return false;
  }
  if (rest.size() < 5 + size_t(size)) return false;
  message.assign(rest.substr(5, size));
  at_ += 5 + size_t(size);
  if (at_ == in_.size()) {
    in_.clear();
    at_ = 0;
  }
  return true;
}

void GrpcStream::end(const Headers& fields) {
  ended_ = true;
  auto code = parse_number<int>(fields.get("grpc-status"));
  if (!code) {
    status_ = {GrpcCode::unknown, "the server ended its answer without gRPC's status", true};
    return;
  }
  auto text = percent_decode(fields.get("grpc-message"));
  status_ = {GrpcCode(*code), text ? std::move(*text) : std::string(fields.get("grpc-message")), true};
}

Task<std::optional<std::string>> GrpcStream::next() {
  std::string message;
  while (!ended_) {
    if (take(message)) co_return message;
    if (ended_) break;
    auto piece = co_await answer_->read();
    if (!piece) {
      status_ = broken(piece.error(), true);
      ended_ = true;
    } else if (piece->empty()) {
      // Without a body the status stands among the first fields.
      end(answer_->trailers().has("grpc-status") ? answer_->trailers() : answer_->headers);
    } else {
      if (at_ > 0) in_.erase(0, std::exchange(at_, 0));
      in_.empty() ? void(in_ = std::move(*piece)) : void(in_ += *piece);
    }
  }
  co_return std::nullopt;
}

static Task<Result<StreamPtr>> in_time(Duration limit, Task<Result<StreamPtr>> connecting) {
  auto stream = co_await with_timeout(limit, std::move(connecting));
  if (stream) co_return std::move(*stream);
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(limit).count();
  co_return fail(Code::timeout, "no connection within " + std::to_string(ms) + " ms");
}

Task<Result<std::unique_ptr<GrpcConnection>>> GrpcConnection::connect(Url url, TlsContextRef tls, Duration limit) {
  struct Run {
    static Task<Result<StreamPtr>> go(Url url, TlsContextRef tls) {
      if (url.scheme == "http") co_return co_await connect_tcp(url.host, url.port);
      auto stream = CO_TRY(co_await connect_tls(std::move(tls), url.host, url.port, "h2"));
      if (stream->alpn() != "h2") co_return fail(Code::unavailable, "the server does not speak HTTP/2");
      co_return std::move(stream);
    }
  };
  auto stream = CO_TRY(co_await in_time(limit, Run::go(url, std::move(tls))));
  auto http = std::make_shared<Http2ClientConnection>(std::move(stream), idle_timeout);
  http->start();
  co_return std::make_unique<GrpcConnection>(std::move(url), std::move(http));
}

Task<Result<std::unique_ptr<GrpcConnection>>> GrpcConnection::connect_unix(std::string path, Duration limit) {
  auto stream = CO_TRY(co_await in_time(limit, io::connect_unix(std::move(path))));
  auto http = std::make_shared<Http2ClientConnection>(std::move(stream), idle_timeout);
  http->start();
  Url url;
  url.scheme = "http";
  url.port = 80;
  url.host = "localhost";  // what gRPC's clients send there
  co_return std::make_unique<GrpcConnection>(std::move(url), std::move(http));
}

Task<GrpcOpening> GrpcConnection::begin(GrpcConnection* self, std::string path, std::string message, Headers metadata) {
  if (!self->usable()) co_return GrpcOpening{{GrpcCode::unavailable, "the connection has ended", false, false}, nullptr};
  auto http = self->http_;
  Url url = self->url_;
  url.target = std::move(path);
  Headers headers = std::move(metadata);
  headers.add("content-type", "application/grpc");
  headers.add("te", "trailers");
  headers.add("user-agent", "estiba");
  auto answer = co_await http->send("POST", std::move(url), std::move(headers), Body(framed(message)));
  if (!answer) co_return GrpcOpening{broken(answer.error(), true), nullptr};
  // A proxy, or no gRPC server at all.
  if (const int status = (*answer)->status; status != 200) {
    const bool may_pass = status == 429 || (status >= 502 && status <= 504);
    co_return GrpcOpening{{may_pass ? GrpcCode::unavailable : GrpcCode::unknown,
                           "the server answered HTTP status " + std::to_string(status) + " instead of gRPC's", true},
                          nullptr};
  }
  co_return GrpcOpening{{}, std::make_unique<GrpcStream>(std::move(*answer), message_limit)};
}

Task<GrpcAnswer> GrpcConnection::exchange(GrpcConnection* self, std::string path, std::string message, Headers metadata) {
  auto opened = co_await begin(self, std::move(path), std::move(message), std::move(metadata));
  if (!opened.stream) co_return GrpcAnswer{std::move(opened.status), {}};
  auto first = co_await opened.stream->next();
  if (!first) {
    GrpcStatus status = opened.stream->status();
    if (status.ok()) status = {GrpcCode::internal, "the server answered nothing", true};
    co_return GrpcAnswer{std::move(status), {}};
  }
  // The status comes behind the message, and counts.
  auto second = co_await opened.stream->next();
  GrpcStatus status = opened.stream->status();
  if (second) status = {GrpcCode::internal, "the server answered twice", true};
  co_return GrpcAnswer{std::move(status), std::move(*first)};
}

Task<GrpcAnswer> GrpcConnection::call(std::string path, std::string message, Headers metadata, Duration timeout) {
  auto answer = co_await with_timeout(timeout, exchange(this, std::move(path), std::move(message), std::move(metadata)));
  if (!answer) co_return GrpcAnswer{timed_out(timeout), {}};
  co_return std::move(*answer);
}

Task<GrpcOpening> GrpcConnection::open(std::string path, std::string message, Headers metadata, Duration timeout) {
  auto opened = co_await with_timeout(timeout, begin(this, std::move(path), std::move(message), std::move(metadata)));
  if (!opened) co_return GrpcOpening{timed_out(timeout), nullptr};
  co_return std::move(*opened);
}

}  // namespace estiba::io
