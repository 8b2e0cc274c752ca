// Byte streams: TCP, unix sockets, and whatever else carries bytes both ways (TLS in io/tls.h, upgraded HTTP connections,
// the streams inside SPDY). A stream belongs to one loop. One coroutine may read while another writes; dropping a read
// loses nothing, dropping a write leaves the stream in an unknown state: close it then.
#pragma once
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/task.h"
#include "io/loop.h"

namespace estiba::io {

/// Immutable bytes and what keeps them alive. Copying a Chunk copies no bytes.
class Chunk {
 public:
  Chunk() = default;
  Chunk(std::string text) {
    auto shared = std::make_shared<const std::string>(std::move(text));
    bytes_ = *shared;
    owner_ = std::move(shared);
  }
  Chunk(std::shared_ptr<const std::string> text) : bytes_(*text) { owner_ = std::move(text); }
  /// `part` lies within what `owner` keeps alive.
  Chunk(std::shared_ptr<const void> owner, std::string_view part) : owner_(std::move(owner)), bytes_(part) {}
  /// Bytes that live as long as the program.
  static Chunk literal(std::string_view bytes) { return Chunk(nullptr, bytes); }

  std::string_view bytes() const { return bytes_; }
  size_t size() const { return bytes_.size(); }
  Chunk from(size_t offset) const { return Chunk(owner_, bytes_.substr(offset)); }

 private:
  std::shared_ptr<const void> owner_;
  std::string_view bytes_;
};

/// Who is at the other end.
struct Peer {
  std::string address;              ///< "10.0.0.1:4711", "[::1]:4711", or "unix"
  int pid = 0, uid = -1, gid = -1;  ///< of a unix socket's peer (SO_PEERCRED)
  bool tls = false;
  bool verified = false;          ///< it presented a client certificate that a CA of ours signed and that is valid now
  std::string certificate_error;  ///< why a presented certificate was not accepted
  std::string common_name;        ///< of the verified certificate
  std::vector<std::string> organizations;
  std::string certificate_der;
};

class Stream {
 public:
  virtual ~Stream() = default;
  /// Waits for bytes; 0 is the end of the stream.
  virtual Task<Result<size_t>> read(char* to, size_t size) = 0;
  /// Writes all of it.
  virtual Task<Result<void>> write(std::string_view bytes) = 0;
  /// Writes all parts in order, in as few system calls or records as they fit.
  virtual Task<Result<void>> write_parts(std::span<const std::string_view> parts);
  /// Waits until a read would return at once, so that an idle connection needs no buffer.
  virtual Task<void> readable();
  /// Tells the peer that nothing more comes; reading goes on.
  virtual Task<Result<void>> shutdown_write() = 0;
  /// Ends it now; reads and writes under way fail with Code::cancelled.
  virtual void close() = 0;
  /// Sets `event` when the peer goes away or shuts down its side, without reading; null stops that. Streams that cannot
  /// tell never set it.
  virtual void notify_hangup(Event* event);
  virtual const Peer& peer() const;
};
using StreamPtr = std::unique_ptr<Stream>;

/// A stream whose first bytes have been read already.
StreamPtr with_prefix(std::string already_read, StreamPtr stream);
/// Two ends of a stream in memory, each on this thread, with at most `capacity` bytes under way in each direction.
std::pair<StreamPtr, StreamPtr> stream_pair(size_t capacity = 64 * 1024);
/// Copies bytes both ways until both directions have ended or one has failed; half-closed directions are passed on.
Task<void> copy_both_ways(Stream& a, Stream& b);
/// Reads to the end; too_large beyond `limit`.
Task<Result<std::string>> read_all(Stream& stream, size_t limit);

/// Host may be a name (looked up on the shared pool) or an address; every address found is tried in turn.
Task<Result<StreamPtr>> connect_tcp(std::string host, uint16_t port);
Task<Result<StreamPtr>> connect_unix(std::string path);
/// Takes a connected socket (or a pipe, pty, …) over; non-blocking mode is set. Call on the loop that will own it.
StreamPtr stream_from_fd(int fd);

/// A listening socket.
class Listener {
 public:
  /// `host` is an address or "" for all; `port` 0 takes a free one. The error names address and port.
  static Result<Listener> tcp(const std::string& host, uint16_t port);
  /// Replaces a socket file that nobody listens on any more. `mode` is the file's mode.
  static Result<Listener> unix(const std::string& path, unsigned mode = 0600);
  /// An inherited listening socket.
  static Listener from_fd(int fd) { return Listener(fd, {}); }

  Listener(Listener&& other) noexcept : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {}
  Listener& operator=(Listener&& other) noexcept;
  ~Listener();

  /// The next connection, as an fd that any loop can make a stream of (stream_from_fd). Out of descriptors: waits a while
  /// and goes on. Call on a loop.
  Task<Result<int>> accept();
  /// "127.0.0.1:6443" or the path.
  std::string address() const;
  uint16_t port() const;
  void close();

 private:
  Listener(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  int fd_ = -1;
  std::string path_;  // to unlink at the end
};

}  // namespace estiba::io
