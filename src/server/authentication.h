// What the flags say about who may come in, with the files that they name.
#pragma once
#include "apiserver/authn.h"
#include "server/certificates.h"
#include "server/options.h"

namespace estiba::server {

/// Errors name the flag and the file.
Result<apiserver::AuthnOptions> authentication_options(const Options& options, const Certificates& certificates);

}  // namespace estiba::server
