// The bytes between a shim and its clients; docs/shim-protocol.md is the specification. A frame is a header of 8 bytes (length of the text
// as u32, number of descriptors as u16, two zero bytes; little-endian), then JSON text. Descriptors travel with the header.
#pragma once
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/executor.h"
#include "base/result.h"
#include "model/json.h"
#include "os/fd.h"
#include "runtime/shim_client.h"

namespace estiba::runtime::wire {

/// Grows when a peer must know; an unknown operation or member is no reason.
constexpr int protocol_version = 1;
constexpr size_t max_frame = 4 << 20;

struct Frame {
  std::string text;
  std::vector<os::Fd> fds;
};

/// Puts the bytes of a non-blocking socket together to frames.
class Reader {
 public:
  /// Reads what is there. False when the other side has closed; malformed frames are errors.
  Result<bool> fill(int socket);
  std::optional<Frame> next();
  bool empty() const { return buffer_.empty(); }

 private:
  std::string buffer_;
  std::deque<os::Fd> fds_;
};

/// Sends frames over a non-blocking socket; what does not fit waits.
class Writer {
 public:
  void add(std::string text, std::vector<os::Fd> fds = {});
  /// Sends what can be sent now; true when nothing is left.
  Result<bool> flush(int socket);

 private:
  struct Piece {
    std::string bytes;
    size_t sent = 0;
    std::vector<os::Fd> fds;
  };
  std::deque<Piece> pieces_;
};

// Shared shapes.
void put_error(json::Document& document, json::Node& object, const Error& error);
Error get_error(const json::Node& node);
json::Node& put_container(json::Document& document, const ContainerInfo& info);
Result<ContainerInfo> get_container(const json::Node& node);
json::Node& put_stats(json::Document& document, const ContainerStats& stats);
ContainerStats get_stats(const json::Node& node);
int64_t to_ns(WallTime time);
WallTime from_ns(int64_t ns);
WallTime wall_now();

}  // namespace estiba::runtime::wire
