#include "server/address.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "network/address.h"

namespace estiba::server {

std::string own_address() {
  // Connecting a datagram socket only looks up the route; the address is reserved for documentation (RFC 5737).
  Fd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in far{};
  far.sin_family = AF_INET;
  far.sin_port = htons(9);
  inet_pton(AF_INET, "192.0.2.1", &far.sin_addr);
  char text[INET_ADDRSTRLEN];
  sockaddr_in near{};
  socklen_t size = sizeof near;
  if (fd && ::connect(fd.get(), reinterpret_cast<sockaddr*>(&far), sizeof far) == 0 && ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&near), &size) == 0)
    return inet_ntop(AF_INET, &near.sin_addr, text, sizeof text);
  std::string found = "127.0.0.1";
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) == 0) {
    for (const ifaddrs* entry = list; entry; entry = entry->ifa_next)
      if (entry->ifa_addr && entry->ifa_addr->sa_family == AF_INET && !(entry->ifa_flags & IFF_LOOPBACK) && (entry->ifa_flags & IFF_UP)) {
        found = inet_ntop(AF_INET, &reinterpret_cast<sockaddr_in*>(entry->ifa_addr)->sin_addr, text, sizeof text);
        break;
      }
    freeifaddrs(list);
  }
  return found;
}

Result<std::string> first_node_range(const std::string& pod_cidr) {
  const auto prefix = TRY_AS("--pod-cidr " + pod_cidr, network::Prefix::parse(pod_cidr));
  if (prefix.length >= 24) return prefix.text();
  return network::Prefix{prefix.address, 24}.text();
}

Result<std::string> nth_address(const std::string& cidr, uint32_t n) {
  const auto prefix = TRY(network::Prefix::parse(cidr));
  return TRY(prefix.nth(n)).text();
}

}  // namespace estiba::server
