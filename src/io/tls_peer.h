// What a TLS stream knows of its peer beyond what every stream does.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "io/stream.h"

namespace estiba::io {

/// peer() of every TLS stream, and of what is put around one; `tls` is true of no other.
struct TlsPeer : Peer {
  std::string server_name;  ///< that a client asked for in the handshake (SNI, RFC 6066 section 3), lower-case; empty: none
};

/// A copy that keeps what TLS knows.
inline std::shared_ptr<const Peer> shared_peer(const Peer& peer) {
  if (!peer.tls) return std::make_shared<const Peer>(peer);
  return std::make_shared<const TlsPeer>(static_cast<const TlsPeer&>(peer));
}

/// Empty without TLS. `peer` is a stream's own or a request's, not a copy of the common part.
inline std::string_view server_name_of(const Peer& peer) {
  return peer.tls ? std::string_view(static_cast<const TlsPeer&>(peer).server_name) : std::string_view();
}

}  // namespace estiba::io
