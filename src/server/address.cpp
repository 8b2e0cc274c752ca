#include "server/address.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "base/fd.h"

namespace estiba::server {

namespace {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = sizeof(sockaddr_storage);
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

SocketAddress socket_address(const Address& address, uint16_t port) {
  SocketAddress out;
  if (address.v6) {
    auto* in = reinterpret_cast<sockaddr_in6*>(&out.storage);
    in->sin6_family = AF_INET6;
    in->sin6_port = htons(port);
    std::memcpy(&in->sin6_addr, address.bytes.data(), 16);
    out.size = sizeof *in;
  } else {
    auto* in = reinterpret_cast<sockaddr_in*>(&out.storage);
    in->sin_family = AF_INET;
    in->sin_port = htons(port);
    std::memcpy(&in->sin_addr, address.bytes.data(), 4);
    out.size = sizeof *in;
  }
  return out;
}

Address address_of(const sockaddr* from) {
  Address out{.v6 = from->sa_family == AF_INET6};
  const void* bytes = out.v6 ? static_cast<const void*>(&reinterpret_cast<const sockaddr_in6*>(from)->sin6_addr)
                             : &reinterpret_cast<const sockaddr_in*>(from)->sin_addr;
  std::memcpy(out.bytes.data(), bytes, out.size());
  return out;
}

bool is_link_local(const Address& address) { return address.v6 && address.bytes[0] == 0xfe && (address.bytes[1] & 0xc0) == 0x80; }

}  // namespace

std::string address_towards(const std::string& far) {
  const auto there = Address::parse(far);
  if (!there) return {};
  // Connecting a datagram socket only looks up the route.
  Fd fd(::socket(there->v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  SocketAddress to = socket_address(*there, 9), from;
  if (!fd || ::connect(fd.get(), to.get(), to.size) < 0 || ::getsockname(fd.get(), from.get(), &from.size) < 0) return {};
  return address_of(from.get()).text();
}

std::string own_address(bool v6, const std::vector<Prefix>& besides) {
  // Reserved for documentation (RFC 5737, RFC 3849), so that only a default route leads there.
  if (std::string address = address_towards(v6 ? "2001:db8::1" : "192.0.2.1"); !address.empty()) return address;
  std::string found;
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) < 0) return found;
  for (const ifaddrs* entry = list; entry; entry = entry->ifa_next) {
    if (!entry->ifa_addr || entry->ifa_addr->sa_family != (v6 ? AF_INET6 : AF_INET)) continue;
    if ((entry->ifa_flags & IFF_LOOPBACK) || !(entry->ifa_flags & IFF_UP)) continue;
    const Address address = address_of(entry->ifa_addr);
    if (is_link_local(address) || std::ranges::any_of(besides, [&](const Prefix& range) { return range.contains(address); })) continue;
    found = address.text();
    break;
  }
  freeifaddrs(list);
  return found;
}

std::vector<Address> machine_addresses() {
  std::vector<Address> found;
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) < 0) return found;
  for (const ifaddrs* entry = list; entry; entry = entry->ifa_next)
    if (entry->ifa_addr && (entry->ifa_addr->sa_family == AF_INET || entry->ifa_addr->sa_family == AF_INET6))
      found.push_back(address_of(entry->ifa_addr));
  freeifaddrs(list);
  return found;
}

}  // namespace estiba::server
