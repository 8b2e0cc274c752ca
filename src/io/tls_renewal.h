// Certificates that end while a program runs.
#pragma once
#include <string_view>

#include "io/tls.h"

namespace estiba::io {

/// Puts another certificate and key in the place of a context's own, for connections that begin from now on. Only on the thread that makes
/// the context's connections.
Result<void> replace_certificate(const TlsContextRef& context, std::string_view certificate_pem, std::string_view key_pem);

}  // namespace estiba::io
