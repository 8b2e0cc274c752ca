#include "io/http1.h"

#include "base/strings.h"
#include "io/spares.h"

namespace estiba::io {

// --- ReadBuffer ----------------------------------------------------------------------------------------------------------

namespace {

constexpr size_t usual_buffer = 8 * 1024;

// An idle connection has no buffer and a busy one needs one for each request, which malloc makes and unmakes at some cost at this size.
using SpareBuffers = Spares<std::unique_ptr<char[]>, 16>;

std::unique_ptr<char[]> usual_buffer_of_this_thread() {
  if (auto spare = SpareBuffers::take()) return std::move(*spare);
  return std::unique_ptr<char[]>(new char[usual_buffer]);
}

using SpareHeaders = Spares<Headers, 32>;

}  // namespace

Task<Result<size_t>> ReadBuffer::fill(Stream& stream) {
  if (begin_ == end_) begin_ = end_ = 0;
  if (end_ == capacity_ && begin_ > 0) {
    memmove(data_.get(), data_.get() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ == capacity_) {
    size_t capacity = capacity_ ? capacity_ * 2 : usual_buffer;
    std::unique_ptr<char[]> larger = capacity == usual_buffer ? usual_buffer_of_this_thread() : std::unique_ptr<char[]>(new char[capacity]);
    if (end_) memcpy(larger.get(), data_.get(), end_);
    data_ = std::move(larger);
    capacity_ = capacity;
  }
  auto got = co_await stream.read(data_.get() + end_, capacity_ - end_);
  if (got) end_ += *got;
  co_return got;
}

void ReadBuffer::grow(size_t capacity) {
  if (!empty() || capacity_ >= capacity) return;
  data_.reset(new char[capacity]);
  capacity_ = capacity;
  begin_ = end_ = 0;
}

void ReadBuffer::release() {
  if (capacity_ == usual_buffer) SpareBuffers::give(std::move(data_));
  data_.reset();
  begin_ = end_ = capacity_ = 0;
}

std::string ReadBuffer::take() {
  std::string rest(bytes());
  release();
  return rest;
}

// --- heads -----------------------------------------------------------------------------------------------------------------

size_t find_head_end(std::string_view bytes, size_t from) {
  size_t at = bytes.find("\r\n\r\n", from > 3 ? from - 3 : 0);
  return at == bytes.npos ? at : at + 4;
}

Headers roomy_headers() {
  if (auto spare = SpareHeaders::take()) return std::move(*spare);
  const Header none;
  Headers headers{none, none, none, none, none, none, none, none, none, none, none, none, none, none, none, none};
  headers.clear();  // leaves the room
  return headers;
}

void give_back(Headers headers) {
  headers.clear();
  SpareHeaders::give(std::move(headers));
}

Result<Headers> parse_header_lines(std::string_view lines, const Http1Limits& limits) {
  Headers headers = roomy_headers();
  while (!lines.empty()) {
    size_t end = lines.find("\r\n");
    std::string_view line = lines.substr(0, end);
    lines.remove_prefix(end == lines.npos ? lines.size() : end + 2);
    if (line.empty()) break;
    size_t colon = line.find(':');
    std::string_view name = line.substr(0, colon);
    if (colon == line.npos || !is_http_token(name)) return fail(Code::malformed, "malformed header line " + quoted(line.substr(0, 80)));
    std::string_view value = trim(line.substr(colon + 1));
    if (!is_http_value(value)) return fail(Code::malformed, "header " + std::string(name) + " holds control characters");
    if (headers.size() >= limits.headers) return fail(Code::too_large, "more than " + std::to_string(limits.headers) + " header fields");
    headers.add(std::string(name), std::string(value));
  }
  return headers;
}

static Result<int> parse_version(std::string_view text) {
  if (text == "HTTP/1.1") return 11;
  if (text == "HTTP/1.0") return 10;
  return fail(Code::malformed, "HTTP version " + quoted(text.substr(0, 20)) + " is not supported");
}

Result<RequestLine> parse_request_line(std::string_view line) {
  size_t first = line.find(' ');
  size_t last = line.rfind(' ');
  if (first == line.npos || last == first) return fail(Code::malformed, "malformed request line " + quoted(line.substr(0, 80)));
  RequestLine out;
  out.method = line.substr(0, first);
  out.target = line.substr(first + 1, last - first - 1);
  out.version = TRY(parse_version(line.substr(last + 1)));
  if (!is_http_token(out.method)) return fail(Code::malformed, "malformed method " + quoted(out.method.substr(0, 40)));
  bool good = true;
  for (unsigned char c : out.target) good &= c > 0x20 && c != 0x7f;
  if (!good) return fail(Code::malformed, "the request's target holds spaces or control characters");
  if (out.target.empty()) return fail(Code::malformed, "the request has no target");
  return out;
}

Result<StatusLine> parse_status_line(std::string_view line) {
  StatusLine out;
  out.version = TRY(parse_version(line.substr(0, 8)));
  auto status = parse_number<int>(line.substr(std::min<size_t>(9, line.size()), 3));
  if (line.size() < 12 || line[8] != ' ' || !status || *status < 100)
    return fail(Code::malformed, "malformed status line " + quoted(line.substr(0, 80)));
  out.status = *status;
  return out;
}

void append_header(std::string& out, std::string_view name, std::string_view value) {
  using namespace std::string_view_literals;
  out.append(name).append(": "sv);
  if (is_http_value(value)) {
    out += value;
  } else {
    for (char c : value) out += is_http_value({&c, 1}) ? c : ' ';
  }
  out += "\r\n"sv;
}

// --- BodyReader --------------------------------------------------------------------------------------------------------------

static Result<std::optional<uint64_t>> content_length(const Headers& headers) {
  if (!headers.has("Content-Length")) return std::nullopt;
  std::optional<uint64_t> length;
  for (std::string_view value : headers.list("Content-Length")) {
    auto number = value.starts_with('+') || value.starts_with('-') ? std::nullopt : parse_number<uint64_t>(value);
    if (!number || (length && *length != *number)) return fail(Code::malformed, "Content-Length " + quoted(value) + " is not one number");
    length = number;
  }
  if (!length) return fail(Code::malformed, "Content-Length is empty");
  return length;
}

Result<BodyReader> BodyReader::of_request(const Headers& headers) {
  auto length = TRY(content_length(headers));
  if (!headers.has("Transfer-Encoding")) return BodyReader(Kind::length, length.value_or(0));
  // Two ways to find the end are what request smuggling is made of.
  if (length) return fail(Code::malformed, "the request has both Content-Length and Transfer-Encoding");
  const auto encodings = headers.list("Transfer-Encoding");
  if (encodings.size() != 1 || !equals_ignore_case(encodings[0], "chunked"))
    return fail(Code::malformed, "Transfer-Encoding must be chunked");
  return BodyReader(Kind::chunked, 0);
}

Result<BodyReader> BodyReader::of_response(const Headers& headers, std::string_view method, int status) {
  if (method == "HEAD" || status / 100 == 1 || status == 204 || status == 304) return BodyReader(Kind::none, 0);
  if (headers.has_token("Transfer-Encoding", "chunked")) return BodyReader(Kind::chunked, 0);
  auto length = TRY(content_length(headers));
  return length ? BodyReader(Kind::length, *length) : BodyReader(Kind::until_close, 0);
}

// One line of chunked framing, at most 4 KiB.
Task<Result<std::string>> BodyReader::line(ReadBuffer& buffer, Stream& stream) {
  for (;;) {
    size_t end = buffer.bytes().find("\r\n");
    if (end != std::string_view::npos) {
      std::string text(buffer.bytes().substr(0, end));
      buffer.consume(end + 2);
      co_return text;
    }
    if (buffer.bytes().size() > 4096) co_return fail(Code::malformed, "a line of the chunked body is too long");
    if (CO_TRY(co_await buffer.fill(stream)) == 0) co_return fail(Code::unavailable, "the connection ended within the body");
  }
}

Task<Result<void>> BodyReader::chunk_head(ReadBuffer& buffer, Stream& stream) {
  if (in_chunk_ && !CO_TRY(co_await line(buffer, stream)).empty())
    co_return fail(Code::malformed, "a chunk of the body is longer than it says");
  std::string head = CO_TRY(co_await line(buffer, stream));
  auto size = parse_number<uint64_t>(trim(split_once(head, ';').first), 16);
  if (!size || head[0] == '-') co_return fail(Code::malformed, "malformed chunk size " + quoted(head.substr(0, 20)));
  left_ = *size;
  in_chunk_ = true;
  if (left_ > 0) co_return {};
  for (int trailers = 0; !CO_TRY(co_await line(buffer, stream)).empty();)
    if (++trailers > 64) co_return fail(Code::malformed, "too many trailers");
  done_ = true;
  co_return {};
}

// Long bodies are read in pieces of this size: a call of the kernel for every 8 KiB costs more than the copy.
static constexpr size_t large_body = 128 * 1024;

Task<Result<std::string>> BodyReader::next_into(Stream& stream, std::string space) {
  const size_t room = size_t(kind_ == Kind::until_close ? space.capacity() : std::min<uint64_t>(left_, space.capacity()));
  space.resize_and_overwrite(room, [](char*, size_t n) { return n; });
  const size_t got = CO_TRY(co_await stream.read(space.data(), room));
  if (got == 0 && kind_ != Kind::until_close) co_return fail(Code::unavailable, "the connection ended within the body");
  space.resize(got);
  if (kind_ != Kind::until_close) left_ -= got;
  if (kind_ == Kind::until_close ? got == 0 : kind_ == Kind::length && left_ == 0) done_ = true;
  co_return space;
}

Task<Result<std::string>> BodyReader::next(ReadBuffer& buffer, Stream& stream, std::string space) {
  if (done()) co_return std::string();
  if (kind_ == Kind::chunked && left_ == 0) {
    CO_TRY(co_await chunk_head(buffer, stream));
    if (done_) co_return std::string();
  }
  const bool much = kind_ == Kind::until_close || left_ >= large_body;
  if (buffer.empty() && much && space.capacity() >= large_body) co_return co_await next_into(stream, std::move(space));
  if (buffer.empty() && much) buffer.grow(large_body);
  if (buffer.empty() && CO_TRY(co_await buffer.fill(stream)) == 0) {
    if (kind_ != Kind::until_close) co_return fail(Code::unavailable, "the connection ended within the body");
    done_ = true;
    co_return std::string();
  }
  std::string_view bytes = buffer.bytes();
  if (kind_ != Kind::until_close) bytes = bytes.substr(0, size_t(std::min<uint64_t>(left_, bytes.size())));
  std::string piece(bytes);
  buffer.consume(piece.size());
  if (kind_ != Kind::until_close) left_ -= piece.size();
  if (kind_ == Kind::length && left_ == 0) done_ = true;
  co_return piece;
}

}  // namespace estiba::io
