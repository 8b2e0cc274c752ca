#include "io/peek.h"

#include <poll.h>
#include <sys/socket.h>

#include "io/socket.h"

namespace estiba::io {

static std::string address_by(int (*name)(int, sockaddr*, socklen_t*), int fd) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (name(fd, reinterpret_cast<sockaddr*>(&address), &length) < 0) return "unknown";
  return format_address(reinterpret_cast<sockaddr*>(&address));
}

std::string FreshSocket::local_address() const { return address_by(getsockname, fd_.get()); }
std::string FreshSocket::peer_address() const { return address_by(getpeername, fd_.get()); }

Task<Result<std::string>> FreshSocket::peek(size_t least, size_t most) {
  // The loop is to wake us when so many are there, and not again and again for those that are (tcp(7), socket(7)).
  int enough = int(least), one = 1;
  setsockopt(fd_.get(), SOL_SOCKET, SO_RCVLOWAT, &enough, sizeof enough);
  std::string bytes(most, '\0');
  for (bool ended = false;;) {
    const ssize_t got = ::recv(fd_.get(), bytes.data(), bytes.size(), MSG_PEEK | MSG_DONTWAIT);
    if (got < 0 && errno != EAGAIN && errno != EINTR) co_return fail_errno("read from " + peer_address());
    if (got >= ssize_t(least)) {
      setsockopt(fd_.get(), SOL_SOCKET, SO_RCVLOWAT, &one, sizeof one);
      bytes.resize(size_t(got));
      co_return bytes;
    }
    if (got == 0 || ended) co_return fail(Code::unavailable, "the connection of " + peer_address() + " ended within its first bytes");
    co_await Loop::current()->readable(fd_.get());
    pollfd state{.fd = fd_.get(), .events = POLLRDHUP, .revents = 0};
    ended = ::poll(&state, 1, 0) > 0;  // nothing more will come than the next look shows
  }
}

Result<void> FreshSocket::discard(size_t count) {
  char bytes[512];
  while (count > 0) {
    const ssize_t got = ::recv(fd_.get(), bytes, std::min(count, sizeof bytes), MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return fail(Code::unavailable, "the connection of " + peer_address() + " ended within its first bytes");
    count -= size_t(got);
  }
  return {};
}

}  // namespace estiba::io
