// TLS servers with several certificates (SNI, RFC 6066 section 3).
#pragma once
#include <functional>
#include <string_view>

#include "io/tls.h"

namespace estiba::io {

/// Chooses a server's context for the name that a client asks for (empty when it names none), on the thread of the handshake; null refuses
/// the client with the alert unrecognized_name.
using TlsChooser = std::function<TlsContextRef(std::string_view server_name)>;
/// A server whose contexts, made by make_tls_server, are chosen anew at each handshake.
TlsContextRef make_tls_server(TlsChooser chooser);

}  // namespace estiba::io
