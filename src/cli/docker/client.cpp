#include "cli/docker/client.h"

#include <poll.h>
#include <sys/socket.h>

#include <cstdlib>

#include "base/strings.h"
#include "cli/docker/connect.h"
#include "io/http1.h"

namespace estiba::cli::docker {

namespace {

Code code_of(int status) {
  switch (status) {
    case 400: return Code::malformed;
    case 401: return Code::unauthorized;
    case 403: return Code::forbidden;
    case 404: return Code::not_found;
    case 409: return Code::conflict;
    case 413: return Code::too_large;
    case 429: return Code::exhausted;
    case 501: return Code::unsupported;
    case 503: return Code::unavailable;
    case 504: return Code::timeout;
    default: return status < 500 ? Code::invalid : Code::internal;
  }
}

Result<void> send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("send to the Docker daemon");
    bytes.remove_prefix(size_t(n));
  }
  return {};
}

// Sends, but stops (false) when the other side has something to say: a daemon that refuses does not read on.
Result<bool> send_unless_answered(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    pollfd wait{fd, POLLIN | POLLOUT, 0};
    if (poll(&wait, 1, -1) < 0) {
      if (errno == EINTR) continue;
      return fail_errno("poll");
    }
    if (wait.revents & (POLLIN | POLLHUP | POLLERR)) return false;
    const ssize_t n = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n < 0) return false;  // what the daemon said before it hung up is worth more than EPIPE
    bytes.remove_prefix(size_t(n));
  }
  return true;
}

Result<void> upload(int fd, UniqueFunction<Result<std::string>()>& source) {
  for (;;) {
    std::string piece = TRY(source());
    const bool last = piece.empty();
    char size[32];
    std::snprintf(size, sizeof size, "%zx\r\n", piece.size());
    piece.insert(0, size);
    piece += "\r\n";
    if (!TRY(send_unless_answered(fd, piece)) || last) return {};
  }
}

}  // namespace

Error daemon_error(int status, std::string_view body) {
  std::string message(trim(body));
  if (auto document = json::Document::parse(body)) {
    if (const json::Node* told = document->root().find("message")) message = told->as_string();
  }
  if (message.empty()) message = std::to_string(status) + " " + std::string(io::status_text(status));
  return {code_of(status), 0, "Error response from daemon: " + message, nullptr};
}

Error daemon_error(Response& response) {
  auto body = response.text();
  return daemon_error(response.status, body ? *body : std::string());
}

// --- Response ---------------------------------------------------------------------------------------------------------------

Response::~Response() {
  if (client_ && keep_ && fd_ && kind_ == Kind::none && !buffered()) client_->idle_ = std::move(fd_);
}

Result<size_t> Response::raw(char* to, size_t size) {
  if (buffered()) {
    const size_t n = std::min(size, buffer_.size() - at_);
    memcpy(to, buffer_.data() + at_, n);
    at_ += n;
    return n;
  }
  for (;;) {
    const ssize_t n = ::recv(fd_.get(), to, size, 0);
    if (n >= 0) return size_t(n);
    if (errno != EINTR) return fail_errno("read from the Docker daemon");
  }
}

Result<std::string> Response::line() {
  std::string out;
  for (;;) {
    if (!buffered()) {
      char piece[4096];
      const size_t n = TRY(raw(piece, sizeof piece));
      if (n == 0) return fail(Code::unavailable, "unexpected EOF from the Docker daemon");
      buffer_.assign(piece, n);
      at_ = 0;
    }
    const size_t end = buffer_.find('\n', at_);
    out.append(buffer_, at_, end == buffer_.npos ? end : end - at_);
    at_ = end == buffer_.npos ? buffer_.size() : end + 1;
    if (out.size() > 64 * 1024) return fail(Code::malformed, "the Docker daemon sent a line of headers that is too long");
    if (end == buffer_.npos) continue;
    if (out.ends_with('\r')) out.pop_back();
    return out;
  }
}

// False at the body's end.
Result<bool> Response::next_chunk() {
  if (in_chunk_) TRY(line());
  in_chunk_ = true;
  const std::string text = TRY(line());
  auto size = parse_number<uint64_t>(trim(split_once(text, ';').first), 16);
  if (!size) return fail(Code::malformed, "the Docker daemon sent a malformed chunk " + quoted(text.substr(0, 40)));
  left_ = *size;
  if (left_ > 0) return true;
  while (!TRY(line()).empty()) {
  }
  kind_ = Kind::none;
  return false;
}

Result<size_t> Response::read(char* to, size_t size) {
  if (kind_ == Kind::none) return 0;
  if (kind_ == Kind::chunked && left_ == 0 && !TRY(next_chunk())) return 0;
  if (kind_ != Kind::until_close) size = size_t(std::min<uint64_t>(size, left_));
  const size_t n = TRY(raw(to, size));
  if (n == 0) {
    if (kind_ != Kind::until_close) return fail(Code::unavailable, "unexpected EOF from the Docker daemon");
    kind_ = Kind::none;
    keep_ = false;
    return 0;
  }
  if (kind_ != Kind::until_close) left_ -= n;
  if (kind_ == Kind::length && left_ == 0) kind_ = Kind::none;
  return n;
}

Result<std::string> Response::text() {
  std::string out;
  for (;;) {
    const size_t had = out.size();
    const size_t room = kind_ == Kind::length ? size_t(std::min<uint64_t>(left_ + 1, 1 << 20)) : size_t(16 * 1024);
    Result<size_t> got = 0;
    out.resize_and_overwrite(had + room, [&](char* data, size_t) {
      got = read(data + had, room);
      return had + (got ? *got : 0);
    });
    if (!got) return std::unexpected(std::move(got.error()));
    if (*got == 0) return out;
  }
}

// --- Client -----------------------------------------------------------------------------------------------------------------

Client::Client(Endpoint endpoint, io::Headers extra_headers) : endpoint_(std::move(endpoint)), extra_headers_(std::move(extra_headers)) {
  if (const char* version = std::getenv("DOCKER_API_VERSION"); version && *version)
    prefix_ = std::string("/v") + (*version == 'v' ? version + 1 : version);
}
Client::~Client() = default;

Result<Fd> Client::connect() {
  std::unique_ptr<Carrier> carrier;
  auto fd = connect_endpoint(endpoint_, carrier);
  if (carrier) carriers_.push_back(std::move(carrier));
  return fd;
}

std::string Client::head(const Request& request, bool hijack) const {
  std::string out = request.method + " " + prefix_ + request.path;
  if (!request.query.empty()) out += "?" + request.query.encode();
  out += " HTTP/1.1\r\nHost: api.moby.localhost\r\nUser-Agent: " + user_agent() + "\r\n";
  for (const io::Header& header : extra_headers_) io::append_header(out, header.name, header.value);
  for (const io::Header& header : request.headers) io::append_header(out, header.name, header.value);
  if (hijack) out += "Connection: Upgrade\r\nUpgrade: tcp\r\n";
  if (request.upload) {
    out += "Transfer-Encoding: chunked\r\n";
  } else if (!request.body.empty() || request.method == "POST" || request.method == "PUT") {
    if (!request.body.empty() && !request.headers.has("Content-Type")) out += "Content-Type: application/json\r\n";
    out += "Content-Length: " + std::to_string(request.body.size()) + "\r\n";
  }
  return out + "\r\n";
}

// `untouched` says after a failure that not a byte of an answer came: the request may be tried on a fresh connection.
Result<std::unique_ptr<Response>> Client::exchange(Fd fd, Request& request, bool hijack, bool* untouched) {
  *untouched = true;
  TRY(send_all(fd.get(), head(request, hijack) + request.body));
  if (request.upload) TRY(upload(fd.get(), request.upload));
  std::unique_ptr<Response> response(new Response(this));
  response->fd_ = std::move(fd);
  std::string& bytes = response->buffer_;
  size_t end = bytes.npos;
  for (;;) {
    char piece[16 * 1024];
    const ssize_t n = ::recv(response->fd_.get(), piece, sizeof piece, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("read from the Docker daemon");
    if (n == 0) return fail(Code::unavailable, "error during connect: the daemon at " + endpoint_.host + " hung up without an answer");
    *untouched = false;
    const size_t from = bytes.size();
    bytes.append(piece, size_t(n));
    while ((end = io::find_head_end(bytes, from)) != bytes.npos && bytes.starts_with("HTTP/1.1 100")) bytes.erase(0, end);
    if (end != bytes.npos) break;
    if (bytes.size() > 256 * 1024) return fail(Code::malformed, "the daemon at " + endpoint_.host + " sent headers that do not end");
  }
  const std::string_view whole(bytes.data(), end);
  const size_t line_end = whole.find("\r\n");
  const io::StatusLine line = TRY(io::parse_status_line(whole.substr(0, line_end)));
  response->status = line.status;
  response->headers = TRY(io::parse_header_lines(whole.substr(line_end + 2), {.bytes = 256 * 1024}));
  response->at_ = end;
  const auto body = TRY(io::BodyReader::of_response(response->headers, request.method, line.status));
  using From = io::BodyReader::Kind;
  response->kind_ = body.kind() == From::none      ? Response::Kind::none
                    : body.kind() == From::length  ? Response::Kind::length
                    : body.kind() == From::chunked ? Response::Kind::chunked
                                                   : Response::Kind::until_close;
  if (response->kind_ == Response::Kind::length) response->left_ = *body.length();
  response->keep_ = line.version == 11 && !request.upload && !response->headers.has_token("Connection", "close");
  return response;
}

Result<std::unique_ptr<Response>> Client::send(Request request) {
  bool untouched = false;
  if (idle_ && !request.upload) {
    auto answer = exchange(std::exchange(idle_, Fd()), request, false, &untouched);
    // The daemon may have closed the kept connection meanwhile; a new one tells.
    if (answer || !untouched) return answer;
  }
  return exchange(TRY(connect()), request, false, &untouched);
}

Result<std::unique_ptr<Response>> Client::stream(Request request) {
  auto response = TRY(send(std::move(request)));
  if (response->status >= 400) return std::unexpected(daemon_error(*response));
  return response;
}

Result<std::string> Client::text(Request request) { return TRY(stream(std::move(request)))->text(); }

Result<json::Document> Client::call(Request request) {
  const std::string body = TRY(text(std::move(request)));
  if (trim(body).empty()) {
    json::Document none;
    none.set_root(none.make_null());
    return none;
  }
  return within("the Docker daemon's answer", json::Document::parse(body, {.allow_duplicate_keys = true}));
}

Result<Hijacked> Client::hijack(Request request) {
  bool untouched = false;
  auto response = TRY(exchange(TRY(connect()), request, true, &untouched));
  if (response->status != 101 && response->status != 200) return std::unexpected(daemon_error(*response));
  Hijacked out;
  out.multiplexed = response->headers.get("Content-Type") != "application/vnd.docker.raw-stream";
  out.early = response->buffer_.substr(response->at_);
  out.fd = std::move(response->fd_);
  return out;
}

// --- Demultiplexer ----------------------------------------------------------------------------------------------------------

Result<bool> Demultiplexer::feed(std::string_view bytes) {
  if (raw_) return bytes.empty() || out_(1, bytes);
  while (!bytes.empty()) {
    if (left_ == 0) {
      const size_t n = std::min(bytes.size(), 8 - have_);
      memcpy(head_ + have_, bytes.data(), n);
      have_ += n;
      bytes.remove_prefix(n);
      if (have_ < 8) break;
      have_ = 0;
      stream_ = head_[0];
      left_ = uint32_t(head_[4]) << 24 | uint32_t(head_[5]) << 16 | uint32_t(head_[6]) << 8 | head_[7];
      if (stream_ > 3) return fail(Code::malformed, "Unrecognized input header: " + std::to_string(stream_));
      continue;
    }
    const std::string_view payload = bytes.substr(0, left_);
    bytes.remove_prefix(payload.size());
    left_ -= uint32_t(payload.size());
    if (stream_ == 3) {
      system_error_ += payload;
      if (left_ == 0) return fail(Code::internal, "error from daemon in stream: " + system_error_);
    } else if (!out_(stream_ == 2 ? 2 : 1, payload)) {
      return false;
    }
  }
  return true;
}

}  // namespace estiba::cli::docker
