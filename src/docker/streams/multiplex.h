// Docker's stream format: output of several channels over one connection, each piece behind a header of eight bytes
// (engine API, "Stream format" of POST /containers/{id}/attach). With a terminal there is one channel and no header.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/task.h"

namespace estiba::docker {

enum class Channel : uint8_t { in = 0, out = 1, err = 2 };

inline constexpr std::string_view raw_stream_type = "application/vnd.docker.raw-stream";
inline constexpr std::string_view multiplexed_stream_type = "application/vnd.docker.multiplexed-stream";

/// {channel, 0, 0, 0, size as 32 bits big-endian}. `size` < 4 GiB.
std::array<char, 8> frame_header(Channel channel, size_t size);
/// Appends a whole frame.
void append_frame(std::string& out, Channel channel, std::string_view bytes);

/// Reads frames from the left: for clients and tests. Bytes may come in any pieces.
class FrameReader {
 public:
  struct Frame {
    Channel channel = Channel::out;
    std::string bytes;
  };
  void feed(std::string_view bytes) { buffer_ += bytes; }
  /// True with the next whole frame. Code::malformed for a channel that is none.
  Result<bool> next(Frame& frame);
  /// Bytes of an unfinished frame are left.
  bool inside() const { return !buffer_.empty(); }

 private:
  std::string buffer_;
};

/// The client's end of a session, whatever carries it: a hijacked connection, a WebSocket, the body of an answer. Both
/// outputs may be written at a time; pieces do not mix.
class Client {
 public:
  virtual ~Client() = default;
  /// What the client sends next; empty: it sends nothing more (it may still read).
  virtual Task<Result<std::string>> read() = 0;
  /// An error means that the client has gone.
  virtual Task<Result<void>> write(Channel channel, std::string_view bytes) = 0;
  /// Whether what it gets is in frames, and a way to send many frames (or bytes, without frames) at a time.
  virtual bool framed() const = 0;
  virtual Task<Result<void>> write_ready(std::string bytes) = 0;
  /// Ends it now; reads and writes under way fail.
  virtual void close() = 0;
  /// Ends it properly, after all that was written.
  virtual Task<void> finish() {
    close();
    co_return;
  }
};

}  // namespace estiba::docker
