// packet(7): whole Ethernet frames of one link, for those that the kernel does not answer itself.
#pragma once
#include <cstdint>
#include <string_view>

#include "base/fd.h"
#include "base/function.h"
#include "base/result.h"

namespace estiba::os::packet {

/// Non-blocking sockets of the link with this index: one that sees ARP, or one that sees neighbour solicitations and advertisements of IPv6
/// and nothing else. Frames that this machine sends are not seen.
Result<Fd> open_arp(int link);
Result<Fd> open_neighbours(int link);
/// Sends a frame, Ethernet header first. A link that is down or full is an error.
Result<void> send(int fd, std::string_view frame);
/// Calls `each` for every frame that has come.
void take(int fd, UniqueFunction<void(std::string_view frame)> each);

/// The link receives what is sent to this IPv6 multicast address (16 bytes), and tells switches so (MLD), until the socket is closed.
Result<Fd> join(int link, std::string_view group);

}  // namespace estiba::os::packet
