// What HTTP messages are made of, for servers and clients alike (RFC 9110, RFC 3986).
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "io/stream.h"

namespace estiba::io {

struct Header {
  std::string name, value;
};

/// Header fields in the order they came; names compare without case.
class Headers {
 public:
  Headers() = default;
  Headers(std::initializer_list<Header> list) : list_(list) {}

  /// The first value, or "".
  std::string_view get(std::string_view name) const;
  const std::string* find(std::string_view name) const;
  bool has(std::string_view name) const { return find(name) != nullptr; }
  /// All values of a field that holds a list ("a, b" and repeated fields alike), trimmed.
  std::vector<std::string_view> list(std::string_view name) const;
  /// Whether list(name) has `token`, without case.
  bool has_token(std::string_view name, std::string_view token) const;
  void add(std::string name, std::string value) { list_.push_back({std::move(name), std::move(value)}); }
  /// Replaces all of that name.
  void set(std::string_view name, std::string value);
  void remove(std::string_view name);

  size_t size() const { return list_.size(); }
  bool empty() const { return list_.empty(); }
  auto begin() const { return list_.begin(); }
  auto end() const { return list_.end(); }
  void clear() { list_.clear(); }

 private:
  std::vector<Header> list_;
};

/// %41 → A. A '+' becomes a space only with `plus`. Malformed escapes are an error.
Result<std::string> percent_decode(std::string_view text, bool plus = false);
/// Escapes everything but unreserved characters and those in `keep`.
std::string percent_encode(std::string_view text, std::string_view keep = "");

/// A query string's parameters in their order, decoded.
class Query {
 public:
  static Result<Query> parse(std::string_view text);
  std::string_view get(std::string_view name) const;  ///< the first value, or ""
  const std::string* find(std::string_view name) const;
  bool has(std::string_view name) const { return find(name) != nullptr; }
  std::vector<std::string> all(std::string_view name) const;
  /// "1", "t", "true", "" present → true; as Go's strconv.ParseBool with apimachinery's leniency.
  bool flag(std::string_view name) const;
  void add(std::string name, std::string value) { list_.push_back({std::move(name), std::move(value)}); }
  std::string encode() const;
  bool empty() const { return list_.empty(); }
  auto begin() const { return list_.begin(); }
  auto end() const { return list_.end(); }

 private:
  std::vector<Header> list_;
};

/// "https://host:6443/path?query"
struct Url {
  std::string scheme, host;  ///< host without brackets
  uint16_t port = 0;         ///< the scheme's own when not written
  std::string user_info;
  std::string target = "/";  ///< raw path and query
  static Result<Url> parse(std::string_view text);
  std::string authority() const;  ///< host, and port unless it is the scheme's
  /// Resolves a Location header against this URL.
  Result<Url> resolve(std::string_view reference) const;
  std::string text() const;
};

/// A body, as a list of shared pieces that are sent without copying.
class Body {
 public:
  Body() = default;
  Body(std::string text) { add(std::move(text)); }
  Body(const char* text) : Body(std::string(text)) {}
  Body(Chunk chunk) { add(std::move(chunk)); }
  Body(std::vector<Chunk> chunks) : chunks_(std::move(chunks)) {
    for (const Chunk& chunk : chunks_) size_ += chunk.size();
  }
  void add(Chunk chunk) {
    size_ += chunk.size();
    if (chunk.size() > 0) chunks_.push_back(std::move(chunk));
  }
  size_t size() const { return size_; }
  const std::vector<Chunk>& chunks() const { return chunks_; }
  std::string text() const;

 private:
  std::vector<Chunk> chunks_;
  size_t size_ = 0;
};

/// "Not Found" for 404.
std::string_view status_text(int status);
/// "Sat, 21 Nov 2026 02:26:38 GMT"
std::string format_http_date(WallTime time);
/// Whether `text` is a token (RFC 9110 5.6.2), as methods and field names are.
bool is_http_token(std::string_view text);
/// Whether a field value has no control characters.
bool is_http_value(std::string_view text);

}  // namespace estiba::io
