// Connections of whose bytes no HTTP is read (TLSRoute, TCPRoute), and what comes before HTTP on the others: the PROXY protocol, and the
// server name of TLS that may pass through.
#pragma once
#include <memory>
#include <vector>

#include "base/address.h"
#include "base/task.h"
#include "ingress/config.h"
#include "ingress/proxy_protocol.h"
#include "io/opening.h"

namespace estiba::ingress {

/// What an open port needs to begin its connections.
struct Openings {
  uint16_t port = 0;
  io::TlsContextRef handshake;  ///< of HTTPS
  std::vector<Prefix> trusted;  ///< peers that say by the PROXY protocol whom they speak for; of others nothing of the kind is read
};

/// Begins a connection that was accepted, whose socket it owns, as an io::Opening does. One whose bytes pass on becomes a task of
/// `sessions`, and is told of as an error.
Task<Result<std::unique_ptr<io::TlsStream>>> open_connection(ConfigPtr config, TaskGroup* sessions,
                                                             std::shared_ptr<const Openings> openings, int fd);

/// Passes bytes both ways between `client` and an endpoint that a backend of `action`, chosen by weight, has, until both have ended; one
/// that cannot be reached is replaced by another. Without any the connection is closed.
Task<void> pass_stream(std::shared_ptr<const Action> action, io::StreamPtr client, ConnectionEnds ends);

}  // namespace estiba::ingress
