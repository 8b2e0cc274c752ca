// SPDY/3.1 as Kubernetes uses it for exec, attach and port-forward (draft-mbelshe-httpbis-spdy-00, and 3.1's window
// updates). Kubernetes' own implementation neither sends WINDOW_UPDATE nor heeds it, so streams here are held back by the
// transport and by bounded queues only.
#pragma once
#include <memory>
#include <string>

#include "base/task.h"
#include "io/http.h"
#include "io/stream.h"

namespace estiba::io {

class SpdyStream;
using SpdyStreamPtr = std::unique_ptr<SpdyStream>;

class SpdySession {
 public:
  /// The session reads and dispatches by itself until the connection ends or the session is destroyed.
  SpdySession(StreamPtr stream, bool server);
  ~SpdySession();
  SpdySession(const SpdySession&) = delete;

  /// The next stream that the peer opens, accepted; null at the end.
  Task<SpdyStreamPtr> accept();
  /// Opens a stream and waits until the peer has accepted it.
  Task<Result<SpdyStreamPtr>> open(Headers headers);
  /// Waits for the connection's end.
  Task<void> ended();
  /// Says goodbye and ends the connection, after a moment for the peer to end it first.
  Task<void> close();

 private:
  friend class SpdyStream;
  struct Core;
  struct State;
  std::shared_ptr<Core> core_;
  Job reader_;
};

/// One stream of a session. Destroying it resets the stream unless both sides have ended it.
class SpdyStream final : public Stream {
 public:
  ~SpdyStream() override;
  const Headers& headers() const;
  uint32_t id() const;

  Task<Result<size_t>> read(char* to, size_t size) override;
  Task<Result<void>> write(std::string_view bytes) override;
  Task<Result<void>> shutdown_write() override;
  void close() override;
  const Peer& peer() const override;

 private:
  friend class SpdySession;
  SpdyStream(std::shared_ptr<SpdySession::Core> core, std::shared_ptr<SpdySession::State> state);
  std::shared_ptr<SpdySession::Core> core_;
  std::shared_ptr<SpdySession::State> state_;
};

}  // namespace estiba::io
