// A container's log file in CRI's format, as the kubelet and log shippers read it:
//   2026-11-21T02:26:38.123456789Z stdout F a whole line
//   2026-11-21T02:26:38.123456789Z stderr P a part of a line, to be continued
// (k8s.io/cri-api: "tag" P or F). Rotated by size: <path> becomes <path>.<UTC time>, and the oldest go.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/executor.h"
#include "os/fd.h"
#include "runtime/shim_client.h"

namespace estiba::runtime {

class ContainerLog {
 public:
  enum Stream : uint8_t { standard_output, standard_error };
  /// A longer line is written in parts of this size.
  static constexpr size_t max_line = 16384;

  /// Opens (appending) or makes the file and its directories. An empty path gives a log that drops everything.
  Result<void> open(LogOptions options);
  /// Takes what a stream gave at `now`. An incomplete line waits for its end. A full disk loses output, never blocks.
  void write(Stream stream, std::string_view bytes, WallTime now);
  /// Writes incomplete lines (as parts) and closes the file.
  void finish(WallTime now);
  /// Opens the path anew, after it has been renamed by somebody.
  Result<void> reopen();
  /// Gives the memory back that a burst has taken. Of all logs of this process.
  static void trim();

 private:
  /// What a line begins with: the time of the read that brought it, its stream and tag.
  static constexpr size_t prefix_size = 40;
  void begin(Stream stream, WallTime now);
  void add_line(char tag, std::string_view text, WallTime now);
  void flush();
  Result<void> rotate(WallTime now);

  LogOptions options_;
  os::Fd file_;
  uint64_t size_ = 0;
  std::string partial_[2];
  char prefix_[prefix_size] = {};
};

}  // namespace estiba::runtime
