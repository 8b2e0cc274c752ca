// The server name that a TLS client asks for, read from its first message without answering it (RFC 8446 section 4.1.2, RFC 6066
// section 3): a connection that passes through is routed by it. A pure function.
#pragma once
#include <string>
#include <string_view>

#include "base/result.h"

namespace estiba::ingress {

struct ClientHello {
  size_t needed = 0;        ///< not 0: what is there is only the beginning of the message, which has at least so many bytes
  std::string server_name;  ///< lower-case; empty: none
};

/// A message with all its records is at most so long.
inline constexpr size_t longest_client_hello = 16 * 1024;

/// Of a connection's first bytes. Code::malformed when they are no TLS ClientHello.
Result<ClientHello> parse_client_hello(std::string_view bytes);

}  // namespace estiba::ingress
