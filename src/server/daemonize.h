// What the long-running verbs share: signals as a descriptor, systemd's readiness, memory settings.
#pragma once
#include <string_view>

#include "base/fd.h"
#include "base/result.h"

namespace estiba::server {

/// SIGTERM and SIGINT as a readable descriptor; blocked before any thread starts, so that all threads inherit it.
Result<Fd> block_signals();
/// Tells systemd (sd_notify(3)): one datagram to $NOTIFY_SOCKET.
void notify(std::string_view state);
/// Many threads that allocate little: two arenas hold it all, and freed memory goes back.
void settle_memory();

}  // namespace estiba::server
