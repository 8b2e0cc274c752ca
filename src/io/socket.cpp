#include "io/socket.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <arpa/inet.h>

#include "io/foreign_pipe.h"

namespace estiba::io {

std::unexpected<Error> closed_here() { return fail(Code::cancelled, "the connection was closed on this side"); }

std::string format_address(const sockaddr* address) {
  char text[INET6_ADDRSTRLEN] = "";
  switch (address->sa_family) {
    case AF_INET: {
      auto* in = reinterpret_cast<const sockaddr_in*>(address);
      inet_ntop(AF_INET, &in->sin_addr, text, sizeof text);
      return std::string(text) + ":" + std::to_string(ntohs(in->sin_port));
    }
    case AF_INET6: {
      auto* in = reinterpret_cast<const sockaddr_in6*>(address);
      inet_ntop(AF_INET6, &in->sin6_addr, text, sizeof text);
      // An IPv4 peer of a socket that listens on both.
      if (IN6_IS_ADDR_V4MAPPED(&in->sin6_addr)) return std::string(text + 7) + ":" + std::to_string(ntohs(in->sin6_port));
      return "[" + std::string(text) + "]:" + std::to_string(ntohs(in->sin6_port));
    }
    default: return "unix";
  }
}

Socket::Socket(int fd) : fd_(fd), loop_(Loop::current()) {
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  loop_->pin(fd);
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&address), &length) < 0) return;
  peer.address = format_address(reinterpret_cast<sockaddr*>(&address));
  if (address.ss_family == AF_UNIX) {
    ucred credentials{};
    socklen_t size = sizeof credentials;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0) {
      peer.pid = credentials.pid;
      peer.uid = int(credentials.uid);
      peer.gid = int(credentials.gid);
    }
  } else {
    tune_tcp();
  }
}

void Socket::tune_tcp() {
  int on = 1, idle = 20, interval = 5, count = 4;
  setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(fd_, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  setsockopt(fd_, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
  setsockopt(fd_, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
  setsockopt(fd_, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
}

int Socket::let_go() {
  const int fd = std::exchange(fd_, -1);
  if (fd < 0) return fd;
  hangup_ = nullptr;
  hangup_watch_.cancel();
  loop_->interrupt(fd);
  loop_->unwatch(fd);
  return fd;
}

void Socket::close() {
  if (const int fd = let_go(); fd >= 0) ::close(fd);
}

void Socket::close_foreign() {
  if (const int fd = let_go(); fd >= 0) close_foreign_pipe(fd);
}

Task<void> Socket::watch_hangup(Socket* self) {
  co_await self->loop_->hung_up(self->fd_);
  self->hung_up_ = true;
  if (self->hangup_) self->hangup_->set();
}

void Socket::notify_hangup(Event* event) {
  hangup_ = fd_ >= 0 ? event : nullptr;
  if (!hangup_) return;
  if (hung_up_) return hangup_->set();
  if (std::exchange(watches_hangup_, true)) return;
  hangup_watch_ = Started(watch_hangup(this));
}

}  // namespace estiba::io
