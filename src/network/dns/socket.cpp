#include "network/dns/socket.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cstring>

#include "io/loop.h"

namespace estiba::network::dns {

namespace {

socklen_t fill(sockaddr_storage& to, const Address& address, uint16_t port) {
  to = {};
  if (address.v6) {
    auto& in6 = reinterpret_cast<sockaddr_in6&>(to);
    in6.sin6_family = AF_INET6;
    in6.sin6_port = htons(port);
    std::memcpy(&in6.sin6_addr, address.bytes.data(), 16);
    return sizeof in6;
  }
  auto& in = reinterpret_cast<sockaddr_in&>(to);
  in.sin_family = AF_INET;
  in.sin_port = htons(port);
  std::memcpy(&in.sin_addr, address.bytes.data(), 4);
  return sizeof in;
}

Result<Fd> make(const Address& address, bool tcp) {
  Fd fd(::socket(address.v6 ? AF_INET6 : AF_INET, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return fail_errno("open a socket");
  return fd;
}

// Fills `to`; false at the end or on an error.
Task<bool> read_exactly(int fd, char* to, size_t size) {
  while (size > 0) {
    ssize_t got = ::read(fd, to, size);
    if (got > 0) {
      to += got;
      size -= size_t(got);
    } else if (got < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOTCONN)) {
      co_await io::Loop::current()->readable(fd);
    } else {
      co_return false;
    }
  }
  co_return true;
}

}  // namespace

Result<Fd> bind_to(const Address& address, uint16_t port, bool tcp) {
  std::string what = std::string("listen on ") + address.text() + " port " + std::to_string(port) + (tcp ? " (TCP)" : " (UDP)");
  Fd fd = TRY_AS(what, make(address, tcp));
  int on = 1;
  // An earlier server's closed connections must not keep the port. For UDP the option would let two servers share it.
  if (tcp) setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_storage to;
  socklen_t size = fill(to, address, port);
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&to), size) < 0) return fail_errno(what);
  if (tcp && ::listen(fd.get(), 128) < 0) return fail_errno(what);
  return fd;
}

Result<Fd> connect_to(const Address& address, uint16_t port, bool tcp) {
  Fd fd = TRY(make(address, tcp));
  sockaddr_storage to;
  socklen_t size = fill(to, address, port);
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&to), size) < 0 && errno != EINPROGRESS) return fail_errno("connect to " + address.text());
  return fd;
}

Task<std::optional<std::string>> read_datagram(int fd) {
  char buffer[4096];
  for (;;) {
    ssize_t size = ::recv(fd, buffer, sizeof buffer, 0);
    if (size >= 0) co_return std::string(buffer, size_t(size));
    if (errno != EAGAIN && errno != EINTR) co_return std::nullopt;
    co_await io::Loop::current()->readable(fd);
  }
}

Task<std::optional<std::string>> read_frame(int fd) {
  unsigned char length[2];
  if (!co_await read_exactly(fd, reinterpret_cast<char*>(length), 2)) co_return std::nullopt;
  std::string message(size_t(length[0] << 8 | length[1]), '\0');
  if (!co_await read_exactly(fd, message.data(), message.size())) co_return std::nullopt;
  co_return message;
}

Task<bool> write_frame(int fd, std::string message) {
  std::string frame{char(message.size() >> 8), char(message.size())};
  frame += message;
  for (std::string_view rest = frame; !rest.empty();) {
    ssize_t sent = ::send(fd, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (sent > 0) rest.remove_prefix(size_t(sent));
    else if (errno == EAGAIN || errno == EINTR || errno == ENOTCONN) co_await io::Loop::current()->writable(fd);
    else co_return false;
  }
  co_return true;
}

}  // namespace estiba::network::dns
