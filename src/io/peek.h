// A socket's first bytes, looked at before it is known who will read them: the PROXY protocol, and TLS that passes through.
#pragma once
#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "base/task.h"
#include "io/stream.h"

namespace estiba::io {

/// A socket that was accepted, of no stream yet, on the current loop. Closed with its owner.
class FreshSocket {
 public:
  explicit FreshSocket(int fd) : fd_(fd) {}
  FreshSocket(FreshSocket&&) = default;

  /// Waits until at least `least` bytes have come, and returns all that have, up to `most`, leaving them to be read. Code::unavailable
  /// when the peer ends before.
  Task<Result<std::string>> peek(size_t least, size_t most);
  /// Takes bytes away that peek() has shown.
  Result<void> discard(size_t count);
  /// "192.0.2.1:80" of this side and of the other.
  std::string local_address() const;
  std::string peer_address() const;
  /// Gives the descriptor up: to a stream, or back to the server.
  int release() { return fd_.release(); }

 private:
  Fd fd_;
};

}  // namespace estiba::io
