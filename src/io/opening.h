// What becomes of an accepted connection before HTTP is spoken, where that is more than a TLS handshake: it may be told whom it comes from,
// or not be HTTP at all.
#pragma once
#include <functional>
#include <string>

#include "io/tls.h"

namespace estiba::io {

/// Begins a connection on its loop, and owns the socket. What it returns is served; an error says why the connection is not, or that it is
/// somebody else's now. It has as long as a handshake.
using Opening = std::function<Task<Result<std::unique_ptr<TlsStream>>>(int fd)>;
/// Stands for a TLS server's context wherever a listener takes one.
TlsContextRef make_opening(Opening opening);

/// A stream as an Opening returns it. `address`, when not empty, is whom it comes from ("192.0.2.1:4711") instead of the socket's peer.
std::unique_ptr<TlsStream> opened(StreamPtr plain, std::string address = {});
std::unique_ptr<TlsStream> opened(std::unique_ptr<TlsStream> secured, std::string address);

}  // namespace estiba::io
