// Signals by name: the one table that Kubernetes' stop signals, Docker, Dockerfiles, the CRI and the OCI runtime share. Numbers are those
// of the kernel and of containers (signal(7)): real-time signals go from 34 to 64, since the C library keeps the first two for itself.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace estiba {

/// Names without "SIG", in alphabetical order; of two names of one signal the first is the one that is shown. The CRI numbers its signals
/// by this order.
std::span<const std::pair<std::string_view, int>> named_signals();

/// "SIGTERM", "TERM", "term", "15", "RTMIN", "SIGRTMIN+3", "RTMAX-14" → the number; nullopt when it is none.
std::optional<int> signal_number(std::string_view text);

/// 15 → "SIGTERM", 37 → "SIGRTMIN+3" (up to SIGRTMIN+15, then SIGRTMAX-14…SIGRTMAX); "" when it is none.
std::string signal_name(int number);

}  // namespace estiba
