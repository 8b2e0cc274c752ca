// The API over HTTPS: what `estiba agent` and programs outside the server's process use. Watches are streams of JSON lines.
#pragma once
#include <memory>
#include <string>

#include "client/client.h"
#include "io/tls.h"

namespace estiba::client {

struct HttpOptions {
  std::string server;        ///< "https://10.0.0.1:6443", without a path
  io::TlsContextRef tls;     ///< trusts the cluster's CA and holds the client certificate, if there is one
  std::string bearer_token;  ///< or empty
  std::string user_agent = "estiba";
  /// Connections that were made before this number changed are not used again: the machine's address has, say. May be null.
  std::shared_ptr<const uint64_t> epoch;
  size_t page = 500;  ///< objects asked for at once by a list
};

/// A client of one loop (io::Loop), which must be current wherever it is called. Errors carry the code, the message, the
/// reason and the causes of the Status that the server answered; what cannot be reached gives Code::unavailable.
std::unique_ptr<Client> make_http_client(HttpOptions options);

/// The error that an answer of the API stands for.
Error error_of_answer(int http_status, std::string_view body);

}  // namespace estiba::client
