#include "server/address.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "network/address.h"

namespace estiba::server {

std::string address_towards(const std::string& far) {
  // Connecting a datagram socket only looks up the route.
  Fd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in there{}, near{};
  there.sin_family = AF_INET;
  there.sin_port = htons(9);
  socklen_t size = sizeof near;
  char text[INET_ADDRSTRLEN];
  if (!fd || inet_pton(AF_INET, far.c_str(), &there.sin_addr) != 1) return {};
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&there), sizeof there) < 0) return {};
  if (::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&near), &size) < 0) return {};
  return inet_ntop(AF_INET, &near.sin_addr, text, sizeof text);
}

std::string own_address() {
  // Reserved for documentation (RFC 5737), so that only a default route leads there.
  if (std::string address = address_towards("192.0.2.1"); !address.empty()) return address;
  char text[INET_ADDRSTRLEN];
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

Result<std::string> nth_address(const std::string& cidr, uint32_t n) {
  const auto prefix = TRY(network::Prefix::parse(cidr));
  return TRY(prefix.nth(n)).text();
}

}  // namespace estiba::server
