// What a request's target and address become: rewritten paths and redirections (Gateway API, HTTPURLRewriteFilter and
// HTTPRequestRedirectFilter). Pure functions.
#pragma once
#include <string>

#include "ingress/config.h"

namespace estiba::ingress {

/// `request`'s raw path after `change`; `matched` is the prefix that its route matched by.
std::string changed_path(const io::Request& request, const PathChange& change, std::string_view matched);
/// Location of a redirection. `port` is the listener's, `tls` whether it speaks TLS.
std::string redirect_location(const io::Request& request, const Redirect& redirect, std::string_view matched, uint16_t port, bool tls);

}  // namespace estiba::ingress
