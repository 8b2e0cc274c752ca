// Socket: a non-blocking fd on a loop, the common part of plain and TLS streams. Internal to io/.
#pragma once
#include "io/started.h"
#include "io/stream.h"

struct sockaddr;

namespace estiba::io {

class Socket {
 public:
  /// Takes the fd over, on the current loop.
  explicit Socket(int fd);
  ~Socket() { close(); }
  Socket(const Socket&) = delete;

  int fd() const { return fd_; }
  bool closed() const { return fd_ < 0; }
  Loop::Readiness readable() { return loop_->readable(fd_); }
  Loop::Readiness writable() { return loop_->writable(fd_); }
  /// Wakes who waits, then closes.
  void close();
  /// The same of what may be a pipe that strangers fill (foreign_pipe.h).
  void close_foreign();
  void notify_hangup(Event* event);
  /// Turns Nagle's delay off and keep-alive probes on, so that peers that vanished are noticed. TCP only.
  void tune_tcp();

  Peer peer;

 private:
  static Task<void> watch_hangup(Socket* self);
  int let_go();
  int fd_;
  Loop* loop_;
  // One that goes on watching from one notify_hangup() to the next, as a connection has one for each request.
  Started hangup_watch_;
  bool watches_hangup_ = false, hung_up_ = false;
  Event* hangup_ = nullptr;
};

/// The failure of a stream that was closed on this side.
std::unexpected<Error> closed_here();
/// "10.0.0.1:80", "[::1]:80", a unix socket's path, or "unix".
std::string format_address(const sockaddr* address);
/// A connected TCP socket; used by plain and TLS streams.
Task<Result<int>> connect_socket(std::string host, uint16_t port);

}  // namespace estiba::io
