// Copies of a container's output for those who are attached, and what they type. What a reader does not take is kept, up to a limit. Then
// either the session ends, or, where the reader must have everything (`docker run`), the container waits.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/function.h"
#include "os/fd.h"
#include "runtime/shim_loop.h"

namespace estiba::runtime {

class AttachPipe {
 public:
  static constexpr size_t limit = 1 << 20;         ///< bytes kept for a reader
  static constexpr size_t hold_limit = 256 << 10;  ///< and for one for whom the container waits

  /// With `taken`, which is called when there is room again, the container waits: its streams are not to be read while full().
  AttachPipe(ShimLoop& loop, os::Fd write_end, UniqueFunction<void()> taken = {})
      : loop_(loop), fd_(std::move(write_end)), taken_(std::move(taken)) {}
  ~AttachPipe() { close(); }
  AttachPipe(const AttachPipe&) = delete;

  void write(std::string_view bytes);
  bool full() const { return taken_ && kept_.size() >= hold_limit; }
  /// Nothing more comes: closes once everything is taken, at once if the pipe can be made to hold it.
  void finish();
  bool closed() const { return !fd_; }

 private:
  void close();
  void send();

  ShimLoop& loop_;
  os::Fd fd_;
  UniqueFunction<void()> taken_;
  std::string kept_;
  bool watching_ = false, finishing_ = false;
};

/// What is typed into a pipe, on its way to a terminal.
class InputPump {
 public:
  InputPump(ShimLoop& loop, os::Fd from, os::Fd to) : loop_(loop), from_(std::move(from)), to_(std::move(to)) {}
  ~InputPump();
  InputPump(const InputPump&) = delete;
  Result<void> start();

 private:
  void move();

  ShimLoop& loop_;
  os::Fd from_, to_;
  std::string kept_;
};

}  // namespace estiba::runtime
