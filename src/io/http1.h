// HTTP/1.1's syntax (RFC 9112), for server and client. Internal to io/.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "base/task.h"
#include "io/http.h"
#include "io/stream.h"

namespace estiba::io {

/// Bytes read from a stream and not used yet. Holds no memory while empty and released.
class ReadBuffer {
 public:
  std::string_view bytes() const { return {data_.get() + begin_, end_ - begin_}; }
  bool empty() const { return begin_ == end_; }
  void consume(size_t count) { begin_ += count; }
  /// Reads once more; 0 is the end of the stream.
  Task<Result<size_t>> fill(Stream& stream);
  /// Makes an empty buffer at least this large.
  void grow(size_t capacity);
  void release();
  /// Everything that is left, as a string.
  std::string take();

 private:
  std::unique_ptr<char[]> data_;
  size_t begin_ = 0, end_ = 0, capacity_ = 0;
};

struct Http1Limits {
  size_t bytes = 64 * 1024;
  size_t headers = 200;
};

/// Where the head ends (past its empty line), searching from `from` on; npos when it is not complete.
size_t find_head_end(std::string_view bytes, size_t from);
/// An empty list with room for the fields of most messages, which this thread has had before.
Headers roomy_headers();
/// Keeps the room of a list for roomy_headers().
void give_back(Headers headers);
/// The header lines of a head, without its first line. Refuses folded lines, names that are no tokens, control characters.
Result<Headers> parse_header_lines(std::string_view lines, const Http1Limits& limits);

struct RequestLine {
  std::string_view method, target;
  int version = 11;
};
Result<RequestLine> parse_request_line(std::string_view line);
struct StatusLine {
  int status = 0;
  int version = 11;
};
Result<StatusLine> parse_status_line(std::string_view line);

/// How a body's end is found.
class BodyReader {
 public:
  enum class Kind : uint8_t { none, length, chunked, until_close };
  BodyReader() = default;
  BodyReader(Kind kind, uint64_t length) : kind_(length == 0 && kind == Kind::length ? Kind::none : kind), left_(length) {}

  /// A request's body, by its headers; both Content-Length and Transfer-Encoding, or an unknown encoding, is malformed.
  static Result<BodyReader> of_request(const Headers& headers);
  static Result<BodyReader> of_response(const Headers& headers, std::string_view method, int status);

  Kind kind() const { return kind_; }
  bool done() const { return kind_ == Kind::none || done_; }
  std::optional<size_t> length() const {
    return kind_ == Kind::chunked || kind_ == Kind::until_close ? std::nullopt : std::optional<size_t>(left_);
  }
  /// The next bytes; empty at the end. Many are read straight into the memory of `space`, where it has room.
  Task<Result<std::string>> next(ReadBuffer& buffer, Stream& stream, std::string space = {});

 private:
  Task<Result<std::string>> next_into(Stream& stream, std::string space);
  Task<Result<void>> chunk_head(ReadBuffer& buffer, Stream& stream);
  static Task<Result<std::string>> line(ReadBuffer& buffer, Stream& stream);
  Kind kind_ = Kind::none;
  bool done_ = false;
  bool in_chunk_ = false;
  uint64_t left_ = 0;  // of the body, or of the chunk
};

/// Appends "name: value\r\n"; control characters in the value become spaces, so that nobody can inject a header.
void append_header(std::string& out, std::string_view name, std::string_view value);

}  // namespace estiba::io
