// Reads a container's log (CRI format: `<RFC 3339 nano> <stdout|stderr> <P|F> <text>`) as `kubectl logs` and `docker logs` ask for it.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/executor.h"
#include "base/result.h"
#include "base/task.h"

namespace estiba::engine {

struct LogOptions {
  bool follow = false, timestamps = false;
  bool rotated = false;  ///< with what rotation has moved away ("<path>.<time>"), oldest first; else the current file alone
  bool frames = false;   ///< each piece with Docker's header of 8 bytes: stream (1 or 2), three zeros, length big-endian
  std::optional<int64_t> tail_lines, limit_bytes;
  std::optional<WallTime> since, until;
  std::string stream;  ///< "stdout", "stderr" or "" for both
};

/// One line of a CRI log, without its newline.
struct LogLine {
  std::string_view time, stream, text;
  bool partial = false;
  /// nullopt for what is no such line.
  static std::optional<LogLine> parse(std::string_view line);
};

/// Where the last `lines` lines of the file begin; a line that was written in parts is one. `found`: how many there are, at most `lines`.
Result<int64_t> tail_offset(int fd, int64_t lines, int64_t* found = nullptr);

using LogSink = std::function<Task<Result<void>>(std::string)>;

/// Sends the log at `path` to `sink` in pieces of some 256 KiB; with follow goes on until `running()` is false and all has been read, over
/// any number of rotations. `stopped` is set when `running()` has become false. Runs on a Loop.
Task<Result<void>> read_log(std::string path, LogOptions options, std::function<bool()> running, estiba::Event* stopped, LogSink sink);

}  // namespace estiba::engine
