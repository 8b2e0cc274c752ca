// The PROXY protocol (haproxy.org, proxy-protocol.txt, versions 1 and 2): who a connection really comes from, said before its first byte.
// Pure functions.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace estiba::ingress {

/// Both ends of a connection as its client knows them: "192.0.2.1:4711", "[2001:db8::1]:4711".
struct ConnectionEnds {
  std::string source, destination;
};

struct ProxyHeader {
  size_t length = 0;  ///< 0: what is there is only the beginning of a header, at least `needed` bytes long
  size_t needed = 0;
  std::optional<ConnectionEnds> ends;  ///< none: those of the connection itself (LOCAL, UNKNOWN, or no TCP over IP)
};

/// Longer headers, which could only be so by what follows their addresses, are refused.
inline constexpr size_t longest_proxy_header = 4096;

/// The header that `bytes` begin with. Code::malformed when they do not, or cannot go on so.
Result<ProxyHeader> parse_proxy_header(std::string_view bytes);

enum class ProxyProtocol : uint8_t { none, v1, v2 };
/// "v1" and "v2".
std::optional<ProxyProtocol> proxy_protocol_of(std::string_view text);
/// The header for a connection between these ends; ends of two families, or that are no addresses, are said to be unknown.
std::string proxy_header(ProxyProtocol version, const ConnectionEnds& ends);

}  // namespace estiba::ingress
