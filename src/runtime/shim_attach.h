// Copies of a container's output for those who are attached. A slow reader must not hold the container up, so what it does
// not take is kept, up to a limit; who falls behind further loses the session.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "os/fd.h"
#include "runtime/shim_loop.h"

namespace estiba::runtime {

class AttachPipe {
 public:
  static constexpr size_t limit = 1 << 20;  ///< bytes kept for a reader

  AttachPipe(ShimLoop& loop, os::Fd write_end) : loop_(loop), fd_(std::move(write_end)) {}
  ~AttachPipe() { close(); }
  AttachPipe(const AttachPipe&) = delete;

  void write(std::string_view bytes);
  /// Closes once everything is taken.
  void finish();
  bool closed() const { return !fd_; }

 private:
  void close();
  void send();

  ShimLoop& loop_;
  os::Fd fd_;
  std::string kept_;
  bool watching_ = false, finishing_ = false;
};

}  // namespace estiba::runtime
