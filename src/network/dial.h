// Sockets that belong to another network namespace.
#pragma once
#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace estiba::network {

/// A non-blocking TCP socket of `family` (AF_INET, AF_INET6), made in the namespace bound at `netns_path` (empty: this one). It
/// stays in that namespace whoever uses it.
Result<Fd> open_socket(const std::string& netns_path, int family);

}  // namespace estiba::network
