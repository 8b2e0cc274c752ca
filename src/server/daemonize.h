// What the long-running verbs share: systemd's readiness, memory settings.
#pragma once
#include <string_view>

namespace estiba::server {

/// Tells systemd (sd_notify(3)): one datagram to $NOTIFY_SOCKET.
void notify(std::string_view state);
/// Many threads that allocate little: two arenas hold it all, and freed memory goes back.
void settle_memory();

}  // namespace estiba::server
