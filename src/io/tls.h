// TLS 1.2 and 1.3 over sockets, by OpenSSL 3. A context is made once, shared by all loops, and outlives its streams through
// shared ownership.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/task.h"
#include "io/stream.h"

namespace estiba::io {

class TlsContext;
using TlsContextRef = std::shared_ptr<TlsContext>;

struct TlsServerOptions {
  std::string certificate_pem;  ///< the chain, leaf first
  std::string key_pem;
  std::string client_ca_pem;  ///< asks for client certificates and verifies them against these; empty: does not ask
  std::vector<std::string> alpn = {"h2", "http/1.1"};
};

struct TlsClientOptions {
  std::string ca_pem;           ///< trusted roots; empty: the system's
  std::string certificate_pem;  ///< client certificate and key, may be empty
  std::string key_pem;
  std::string server_name;  ///< verified instead of the host that is connected to, when not empty
  bool insecure = false;    ///< does not verify the server at all (kubectl's insecure-skip-tls-verify)
  std::vector<std::string> alpn = {"http/1.1"};
};

Result<TlsContextRef> make_tls_server(const TlsServerOptions& options);
Result<TlsContextRef> make_tls_client(const TlsClientOptions& options);

class TlsStream : public Stream {
 public:
  /// "h2", "http/1.1", or empty when nothing was negotiated.
  virtual std::string_view alpn() const = 0;
};

/// The server's handshake on an accepted socket, which it takes over. A client certificate that does not verify does not
/// fail the handshake: peer().certificate_error says why, and the authenticator answers 401.
Task<Result<std::unique_ptr<TlsStream>>> tls_accept(TlsContextRef context, int fd);
/// Connects and shakes hands; verifies the server's certificate for `host`. Resumes an earlier session when there is one.
/// `alpn`, when not empty, is offered instead of the context's protocols.
Task<Result<std::unique_ptr<TlsStream>>> connect_tls(TlsContextRef context, std::string host, uint16_t port, std::string alpn = {});

}  // namespace estiba::io
