#include "os/packet.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>

#include "os/syscall.h"

namespace estiba::os::packet {

// Without a protocol the socket sees nothing before it is bound, so that no frame is older than its filter.
static Result<Fd> open(int link, uint16_t protocol, const sock_fprog* filter) {
  Fd fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_errno("open a packet socket");
  if (filter && setsockopt(fd.get(), SOL_SOCKET, SO_ATTACH_FILTER, filter, sizeof *filter) < 0) return fail_errno("filter a packet socket");
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(protocol);
  address.sll_ifindex = link;
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0)
    return fail_errno("bind a packet socket to link " + std::to_string(link));
  return fd;
}

Result<Fd> open_arp(int link) { return open(link, ETH_P_ARP, nullptr); }

Result<Fd> open_neighbours(int link) {
  // Next header ICMPv6 (byte 6 of the header), then type 135 or 136 (RFC 4861): these messages have no extension headers.
  static sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, ETH_HLEN + 6),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_ICMPV6, 0, 4),
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, ETH_HLEN + 40),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 135, 1, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 136, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, 0xffff),
      BPF_STMT(BPF_RET | BPF_K, 0),
  };
  static const sock_fprog filter{sizeof code / sizeof *code, code};
  return open(link, ETH_P_IPV6, &filter);
}

Result<void> send(int fd, std::string_view frame) {
  const ssize_t sent = retry_interrupted([&] { return ::send(fd, frame.data(), frame.size(), MSG_DONTWAIT | MSG_NOSIGNAL); });
  if (sent < 0) return fail_errno("send a frame");
  return {};
}

void take(int fd, UniqueFunction<void(std::string_view)> each) {
  char bytes[2048];
  for (;;) {
    const ssize_t size = retry_interrupted([&] { return ::recv(fd, bytes, sizeof bytes, MSG_DONTWAIT); });
    // A link that goes down is told once, in between.
    if (size < 0 && errno == ENETDOWN) continue;
    if (size < 0) return;
    each({bytes, size_t(size)});
  }
}

Result<Fd> join(int link, std::string_view group) {
  Fd fd(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) return fail_errno("open a socket for multicast");
  ipv6_mreq request{};
  std::memcpy(&request.ipv6mr_multiaddr, group.data(), sizeof request.ipv6mr_multiaddr);
  request.ipv6mr_interface = unsigned(link);
  if (setsockopt(fd.get(), IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &request, sizeof request) < 0)
    return fail_errno("join a multicast group on link " + std::to_string(link));
  return fd;
}

}  // namespace estiba::os::packet
