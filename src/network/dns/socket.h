// The few socket operations that the DNS needs, on the current io::Loop.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"
#include "base/task.h"
#include "network/address.h"

namespace estiba::network::dns {

/// Non-blocking, bound; for TCP also listening.
Result<Fd> bind_to(const Address& address, uint16_t port, bool tcp);
/// Non-blocking; a TCP connection may still be under way.
Result<Fd> connect_to(const Address& address, uint16_t port, bool tcp);
/// The next datagram of a connected socket; nullopt on an error.
Task<std::optional<std::string>> read_datagram(int fd);
/// A message by TCP: two bytes of length before it (RFC 1035 4.2.2). nullopt at the end or on an error.
Task<std::optional<std::string>> read_frame(int fd);
Task<bool> write_frame(int fd, std::string message);

}  // namespace estiba::network::dns
