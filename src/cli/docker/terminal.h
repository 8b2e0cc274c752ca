// The user's terminal, and the stream between it and a container: raw mode, window size, signals, detach keys.
#pragma once
#include <termios.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/function.h"
#include "base/result.h"
#include "cli/docker/client.h"

namespace estiba::cli::docker {

struct WindowSize {
  uint16_t rows = 0, columns = 0;
};
/// Of the terminal at stdout, or stdin; nullopt when neither is one.
std::optional<WindowSize> window_size();
bool is_terminal(int fd);

/// Raw mode of the terminal at stdin while it lives.
class RawMode {
 public:
  /// `output_too` is for a terminal that the container's own will drive.
  explicit RawMode(bool wanted);
  ~RawMode() { restore(); }
  RawMode(const RawMode&) = delete;
  void restore();

 private:
  bool set_ = false;
  termios saved_{};
};

/// "ctrl-p,ctrl-q" → bytes. `Invalid detach keys provided: …`, when it is no list of letters and ctrl-LETTER.
Result<std::string> parse_detach_keys(std::string_view text);

/// Finds the detach sequence in what is typed and holds a possible beginning of it back.
class DetachFilter {
 public:
  explicit DetachFilter(std::string keys) : keys_(std::move(keys)) {}
  /// Appends what is to be sent to `out`; true when the sequence is complete.
  bool feed(std::string_view typed, std::string& out);

 private:
  std::string keys_;
  size_t matched_ = 0;
};

struct StreamOptions {
  bool input = false;                                  ///< sends stdin
  bool tty = false;                                    ///< the container's end is a terminal: raw bytes, window size, detach keys
  bool output = true, errors = true;                   ///< which streams to print
  std::string detach_keys;                             ///< bytes; empty: none
  UniqueFunction<void(WindowSize)> resize = nullptr;   ///< called at once and on SIGWINCH when `tty`
  UniqueFunction<void(int signal)> forward = nullptr;  ///< --sig-proxy: gets signals instead of this process
};
enum class StreamEnd : uint8_t { ended, detached };

/// Blocks the signals that stream() forwards, so that none is lost between starting a container and streaming.
void hold_signals();
/// Carries bytes until the container's side ends or the user detaches.
Result<StreamEnd> stream(Hijacked connection, StreamOptions options);
/// "INT" for SIGINT, as the API wants it; the number for those without a name.
std::string signal_name(int signal);

/// Prints all bytes to stdout (1) or stderr (2); false when nobody reads them any more.
bool print_bytes(int fd, std::string_view bytes);

}  // namespace estiba::cli::docker
