// ctnetlink: forgetting connections whose service endpoint has gone. Only UDP (and SCTP) needs it: a client that keeps
// its port would be led to the old address for as long as it speaks.
#pragma once
#include <cstdint>

#include "base/function.h"
#include "os/netlink.h"

namespace estiba::os::conntrack {

/// An IPv4 connection whose destination was translated: what the client sent to, and who answers.
struct Flow {
  uint8_t protocol = 0;
  uint32_t destination = 0, server = 0;  ///< addresses, host order
  uint16_t destination_port = 0, server_port = 0;
};

/// Deletes the translated connections of `protocol` for which `gone` says so; returns how many.
Result<size_t> forget(netlink::Socket& socket, uint8_t protocol, UniqueFunction<bool(const Flow&)> gone);

}  // namespace estiba::os::conntrack
