#include "ingress/client_hello.h"

#include <optional>

#include "base/strings.h"

namespace estiba::ingress {

namespace {

std::unexpected<Error> malformed() { return fail(Code::malformed, "the connection does not begin with a TLS ClientHello"); }

// Takes fields from the front of a message; once one is not there all of it is bad.
class Fields {
 public:
  explicit Fields(std::string_view bytes) : left_(bytes) {}
  bool good() const { return good_; }
  bool empty() const { return left_.empty(); }
  std::string_view take(size_t count) {
    if (!good_ || count > left_.size()) {
      good_ = false;
      return {};
    }
    const std::string_view out = left_.substr(0, count);
    left_.remove_prefix(count);
    return out;
  }
  size_t number(size_t bytes) {
    size_t out = 0;
    for (const unsigned char byte : take(bytes)) out = out << 8 | byte;
    return out;
  }
  /// What a length of so many bytes stands before.
  std::string_view vector(size_t length_bytes) { return take(number(length_bytes)); }

 private:
  std::string_view left_;
  bool good_ = true;
};

Result<std::string> server_name_in(std::string_view extension) {
  Fields outer(extension);
  Fields list(outer.vector(2));
  if (!outer.good()) return malformed();
  while (list.good() && !list.empty()) {
    const bool is_host = list.number(1) == 0;
    const std::string_view name = list.vector(2);
    if (!list.good()) break;
    if (!is_host) continue;
    if (name.empty() || name.size() > 253 || name.find('\0') != name.npos) return malformed();
    std::string out = to_lower(name);
    if (out.ends_with('.')) out.pop_back();
    return out;
  }
  if (!list.good()) return malformed();
  return std::string();
}

Result<std::string> server_name_of_message(std::string_view body) {
  Fields hello(body);
  hello.take(2 + 32);  // version and random
  hello.vector(1);     // session
  hello.vector(2);     // cipher suites
  hello.vector(1);     // compression methods
  if (hello.good() && hello.empty()) return std::string();
  Fields extensions(hello.vector(2));
  if (!hello.good() || !hello.empty()) return malformed();
  while (!extensions.empty()) {
    const size_t type = extensions.number(2);
    const std::string_view data = extensions.vector(2);
    if (!extensions.good()) return malformed();
    if (type == 0) return server_name_in(data);
  }
  return std::string();
}

}  // namespace

Result<ClientHello> parse_client_hello(std::string_view bytes) {
  constexpr size_t record_head = 5, message_head = 4;
  std::string message;  // of all records that it is spread over
  for (size_t at = 0;;) {
    if (bytes.size() > at && bytes[at] != 22) return malformed();  // a handshake record
    if (bytes.size() > at + 1 && bytes[at + 1] != 3) return malformed();
    if (bytes.size() < at + record_head) return ClientHello{.needed = at + record_head};
    const size_t length = Fields(bytes.substr(at + 3)).number(2), end = at + record_head + length;
    if (length == 0 || end > longest_client_hello) return malformed();
    message += bytes.substr(at + record_head, length);
    if (!message.empty() && message[0] != 1) return malformed();  // ClientHello
    if (bytes.size() < end) return ClientHello{.needed = end};
    at = end;
    if (message.size() < message_head) continue;
    const size_t size = Fields(std::string_view(message).substr(1)).number(3);
    if (size > longest_client_hello) return malformed();
    if (message.size() < message_head + size) continue;
    return ClientHello{.server_name = TRY(server_name_of_message(std::string_view(message).substr(message_head, size)))};
  }
}

}  // namespace estiba::ingress
