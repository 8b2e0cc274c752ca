// ctnetlink: what is tracked, and forgetting connections whose service endpoint has gone. Only UDP (and SCTP) needs it: a client that keeps
// its port would be led to the old address for as long as it speaks.
#pragma once
#include <cstdint>

#include "base/function.h"
#include "os/netlink.h"

namespace estiba::os::conntrack {

/// A connection whose destination was translated: what the client sent to, and who answers.
struct Flow {
  uint8_t protocol = 0;
  std::string destination, server;  ///< addresses, raw: 4 bytes, or 16 of IPv6
  uint16_t destination_port = 0, server_port = 0;
};

/// A tracked connection. Addresses are raw bytes, 4 or 16 of them; ports are 0 where the protocol has none.
struct Connection {
  uint8_t protocol = 0;
  std::string source, destination;  ///< as the client sent its first packet
  std::string server;               ///< who answers: another one than `destination` where that was translated
  uint16_t source_port = 0, destination_port = 0, server_port = 0;
  bool answered = false;
  uint64_t packets_sent = 0, bytes_sent = 0;          ///< by the client; 0 without net.netfilter.nf_conntrack_acct
  uint64_t packets_received = 0, bytes_received = 0;  ///< by the client
  uint64_t began_ns = 0;                              ///< since 1970; 0 without net.netfilter.nf_conntrack_timestamp
};

/// Calls `each` for every connection of the socket's network namespace, of both IPv4 and IPv6.
Result<void> list(netlink::Socket& socket, UniqueFunction<void(const Connection&)> each);

/// Deletes the translated connections of `family` (AF_INET, AF_INET6) and `protocol` for which `gone` says so; returns how many.
Result<size_t> forget(netlink::Socket& socket, uint8_t family, uint8_t protocol, UniqueFunction<bool(const Flow&)> gone);

}  // namespace estiba::os::conntrack
