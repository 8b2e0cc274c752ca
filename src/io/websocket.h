// WebSocket (RFC 6455) over an upgraded HTTP/1.1 connection, both sides. No extensions.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/task.h"
#include "io/frame_lock.h"
#include "io/http1.h"
#include "io/http_client.h"
#include "io/http_server.h"

namespace estiba::io {

class WebSocket {
 public:
  struct Options {
    bool client = false;                   ///< masks what it sends
    size_t max_message = 4 * 1024 * 1024;  ///< of all fragments together; larger closes with 1009
    std::string protocol;                  ///< the negotiated subprotocol
  };
  struct Message {
    bool text = false;
    std::string data;
  };
  WebSocket(StreamPtr stream, Options options);

  /// The next message; pings are answered on the way. nullopt: the peer has closed properly.
  Task<Result<std::optional<Message>>> read();
  /// Sends one message. Several coroutines may write; messages do not mix.
  Task<Result<void>> write(std::string_view data, bool text = false);
  /// The same, from two parts: a channel byte and its data.
  Task<Result<void>> write(std::string_view first, std::string_view second, bool text);
  Task<Result<void>> ping(std::string data);
  /// Sends a close frame (1000 normal, 1001 going away, 1011 internal error) and waits a moment for the peer's.
  Task<void> close(uint16_t code = 1000, std::string reason = {});

  /// Ends the connection now, without a close frame.
  void abort() { stream_->close(); }

  const std::string& protocol() const { return options_.protocol; }
  const Peer& peer() const { return stream_->peer(); }

 private:
  struct Frame {
    uint8_t opcode = 0;
    bool final = false;
    std::string payload;
  };
  Task<Result<void>> fill(size_t bytes);
  Task<Result<Frame>> read_frame();
  Task<Result<void>> write_frame(uint8_t opcode, std::string_view first, std::string_view second);
  Task<Result<void>> control(const Frame& frame);

  Task<Result<void>> fail_connection(uint16_t code, std::string reason);

  StreamPtr stream_;
  Options options_;
  FrameLock lock_;
  ReadBuffer in_;
  bool close_sent_ = false, close_received_ = false;
};

/// The bytes of binary messages as a stream, as SPDY inside a WebSocket wants it.
StreamPtr stream_over_websocket(std::unique_ptr<WebSocket> socket);

/// Whether the request asks for a WebSocket.
bool is_websocket_request(const Request& request);
/// Answers the handshake, choosing the first of `protocols` that the client offers (our order decides). Answers 400 or 403
/// itself when the request is wrong or offers none of them; `protocols` empty accepts any client without a subprotocol.
Task<Result<std::unique_ptr<WebSocket>>> accept_websocket(Request& request, Response& response, std::vector<std::string> protocols,
                                                          size_t max_message = 4 * 1024 * 1024);
/// Connects; `url` has the scheme http or https (or ws, wss). The error's code follows a refusal's status.
Task<Result<std::unique_ptr<WebSocket>>> connect_websocket(HttpClient& client, ClientRequest request, std::vector<std::string> protocols);

}  // namespace estiba::io
