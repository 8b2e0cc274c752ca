// Fd: owns a file descriptor and closes it.
#pragma once
#include <unistd.h>

#include <utility>

namespace estiba {

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) reset(std::exchange(other.fd_, -1));
    return *this;
  }
  ~Fd() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  /// Gives the descriptor up to the caller.
  int release() { return std::exchange(fd_, -1); }
  /// Closes what is held, if anything, and takes `fd`.
  void reset(int fd = -1) {
    // close(2) must not be repeated after EINTR: Linux has released the number already.
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
  }

 private:
  int fd_ = -1;
};

}  // namespace estiba
